"""Moves NetRaven's credential store from SQLite to PostgreSQL, proven, while it is in use."""

__version__ = "0.1.0"
