"""Measures the pipeline beside pgloader, a plain ORM script and an empty Dagster run, on the same made-up store."""
