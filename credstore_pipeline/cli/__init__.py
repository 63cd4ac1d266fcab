"""The console script `credstore`: launches jobs in this process and reads `credstore_sync`; thin on purpose."""
