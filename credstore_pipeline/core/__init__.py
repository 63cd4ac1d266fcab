"""Every place where a password or a key is in the clear. Imports no Dagster."""
