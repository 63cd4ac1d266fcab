"""The documentation's reference tables, taken from the code: `python -m credstore_pipeline.reference --write`."""
