"""Another target key, and which keys are still needed."""
