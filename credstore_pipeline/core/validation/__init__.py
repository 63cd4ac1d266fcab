"""Turns extracted rows into rows the target can hold, or into sealed quarantine rows with a reason."""
