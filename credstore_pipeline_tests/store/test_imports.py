"""The store is light: what it pulls in, and what it must never pull in."""

import ast
import subprocess
import sys
from pathlib import Path

import credstore_pipeline.store

PACKAGE = Path(credstore_pipeline.store.__file__).parent
HEAVY = [
    "dagster",
    "pandas",
    "pyarrow",
    "numpy",
    "pandera",
    "sqlite3",
    "alembic",
    "pydantic",
    "sqlalchemy.dialects.sqlite",
]


def test_importing_and_making_a_store_loads_nothing_heavy():
    program = (
        "import sys; from credstore_pipeline.store import CredentialStore; CredentialStore('postgresql://h/d', 'key');"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[]"


def test_no_module_of_the_store_names_sqlite_or_dagster():
    for module in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in HEAVY for name in names), module


def test_what_the_package_offers_is_there():
    for name in credstore_pipeline.store.__all__:
        assert hasattr(credstore_pipeline.store, name)
