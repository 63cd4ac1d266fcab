"""The legacy store: opened without a trace, copied, proven, read by column name."""
