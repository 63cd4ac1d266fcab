"""Proves the stored result anew: snapshot and target read once from fresh connections, trusting no step before."""
