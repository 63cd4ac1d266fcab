"""Writes validated rows to the target in one transaction and proves them before it commits."""
