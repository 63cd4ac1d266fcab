"""Keys: where they come from, how they are derived, in which order they are tried."""
