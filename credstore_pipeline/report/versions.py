"""What ran: versions that someone needs who wants to repeat the run."""

import platform
import sqlite3
from importlib.metadata import version

from credstore_pipeline import __version__
from credstore_pipeline.report.told import Rows, Told

PACKAGES = ("dagster", "SQLAlchemy", "psycopg2-binary", "cryptography", "pandas", "pyarrow", "pandera", "matplotlib")


def versions(told: Told) -> Rows:
    """Name and version of everything that had a part in the run."""
    found = {
        "credstore_pipeline": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        **{package: version(package) for package in PACKAGES},
    }
    target = [row["found"] for row in told.table("preflight/census", "Target") if row["asked"] == "server"]
    rows = [{"part": name, "version": text} for name, text in found.items()]
    return [*rows, *({"part": "target", "version": text} for text in target)]
