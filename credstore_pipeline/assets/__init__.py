"""The flow, one module a stage, in order: source, snapshot, extract, census, validate, load, report."""
