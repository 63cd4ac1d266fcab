"""The comparison with SQLite runs, counts what is lost, and writes its page."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

OPERATIONS = ("by tag", "status update")
SIDES = ("SQLite", "PostgreSQL", "PostgreSQL, indexes")


@pytest.mark.ci
def test_operations_are_measured_on_every_side_and_kept(tmp_path):
    # As root the server runs as another user, who has to pass through to its folder.
    home = Path(os.environ["CREDSTORE_TESTS_SERVER"]) / f"access-{os.getpid()}"
    command = [sys.executable, "-m", "credstore_pipeline.bench.access", "--sizes", "30", "--clients", "1,2"]
    command += ["--operations", ",".join(OPERATIONS)]
    where = ["--seconds", "0.05", "--home", str(home), "--page", str(tmp_path / "page.md")]
    done = subprocess.run([*command, *where], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    cells = json.loads((tmp_path / "page-access.json").read_text())["cells"]
    assert [(cell["operation"], cell["clients"], cell["contestant"]) for cell in cells] == [
        (operation, clients, side) for operation in OPERATIONS for clients in (1, 2) for side in SIDES
    ]
    for cell in cells:
        updates, postgres = cell["operation"] == "status update", cell["contestant"] != "SQLite"
        assert cell["done"] > 0 and cell["p95_ms"] >= cell["median_ms"] > 0
        assert (cell["lost"] is not None) == updates
        if postgres or cell["clients"] == 1:
            assert (cell["refused"], cell["lost"] or 0) == (0, 0)
    page = (tmp_path / "page.md").read_text()
    assert "| 30 | status update | 2 | SQLite |" in page
    assert "lost by PostgreSQL | 0 | 0 | yes |" in page
    assert "Scan on credential_tags" in page
    assert "![Operations a second](page-access.svg)" in page
    ElementTree.parse(tmp_path / "page-access.svg")
