"""The PostgreSQL side: its connections, its tables, its locks, and the pipeline's own schema beside them."""
