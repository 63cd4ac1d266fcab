"""Makes legacy stores to try the pipeline on, and the program behind `make demo`.

Nothing here is imported by the pipeline, and the makers share no code with `core/`: a store written by the
reader's own idea of a format would prove nothing about the format.
"""
