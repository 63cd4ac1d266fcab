"""The way back: the target's store as an SQLite file that the old application reads, proven, and exchanged if asked."""
