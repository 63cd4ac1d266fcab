"""An embedded PostgreSQL for the demo and the tests: started by its first user, stopped by its last."""

from credstore_pipeline.embedded.server import EmbeddedServer, embedded_server

__all__ = ["EmbeddedServer", "embedded_server"]
