"""The measurements themselves: that they measure, and that what they compare with does its work."""

import json
import os
import sqlite3
import sys
from pathlib import Path

import dagster as dg
import psycopg2
import pytest

from credstore_pipeline.bench import orm_script
from credstore_pipeline.bench.empty_steps import build
from credstore_pipeline.bench.measure import Measured, measure
from credstore_pipeline.bench.record import Results, write_page
from credstore_pipeline.bench.shape import shape_of
from credstore_pipeline.core.deployment import Target
from credstore_pipeline.demo.stores import build_store

HOLD_200_MB = "import time; held = bytearray(b'x') * 200_000_000; time.sleep(3)"


@pytest.mark.ci
def test_memory_of_a_command_and_of_its_children_is_seen(tmp_path: Path) -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD_200_MB!r}]); sys.exit(3)"
    seen = measure([sys.executable, "-c", child], os.environ, tmp_path / "logs" / "a.log")
    assert seen.exit_code == 3
    assert 3 < seen.seconds < 120
    assert 0 < seen.cpu_seconds < seen.seconds
    assert 190 < seen.largest_mb < 300
    assert 190 < seen.together_mb < 300


@pytest.mark.ci
def test_memory_of_the_measuring_process_does_not_count(tmp_path: Path) -> None:
    held = bytearray(b"x") * 300_000_000
    seen = measure([sys.executable, "-c", "import time; time.sleep(3)"], os.environ, tmp_path / "a.log")
    assert len(held) == 300_000_000
    assert 1 < seen.peak_mb < 100


def test_the_page_keeps_one_section_a_size_and_says_what_was_reached(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "benchmarks.md"
    second, fast, slow = (
        Measured(0, 4.0, 3.0, 300, 400),
        Measured(0, 10.0, 9.0, 500, 900),
        Measured(0, 100.0, 99.0, 500, 2000),
    )
    write_page(page, Results.of(100_000, slow, second, fast, fast, fast, second, second))
    write_page(page, Results.of(1_000_000, slow, second, fast, fast, None, slow, second))
    write_page(page, Results.of(100_000, fast, second, fast, second, slow, second, second))
    text = page.read_text()
    assert text.count("## 100,000 credentials") == text.count("## 1,000,000 credentials") == 1
    small, large = text.split("## 1,000,000")
    assert "| pipeline / pgloader | 2.50 | <= 3.0 | yes |" in small
    assert "| ORM script / pipeline | 10.00 | >= 4 | yes |" in small
    assert "| pipeline | 10.0 | 9.0 | 30,000 | 900 |" in small
    assert "| pipeline / pgloader | 10.00 | <= 1.5 | no |" in large
    assert "| second run / pipeline (%) | 4 | <= 25 | yes |" in large
    assert "| 1 % changed / pipeline (%) | 10 | <= 35 | yes |" in large
    assert "| 1 % changed / pipeline (%) | 100 | <= 35 | asked at 1,000,000 rows |" in small
    assert "| peak memory (MB) | 2,000 | <= 1,200 | no |" in large
    assert "ORM script / pipeline" not in large
    assert set(json.loads(page.with_suffix(".json").read_text())) == {"100000", "1000000"}


def test_empty_steps_have_the_shape_of_what_they_stand_for() -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("a"), dg.AssetSpec("b")], check_specs=[dg.AssetCheckSpec("fine", asset="a")])
    def first():
        yield dg.MaterializeResult(asset_key="a")

    @dg.asset(key=["deep", "c"], deps=["a", "b"])
    def second() -> None: ...

    @dg.asset_check(asset=second)
    def last() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    shape = shape_of(dg.Definitions(assets=[first, second], asset_checks=[last]))
    assert [step["keys"] for step in shape] == [["a", "b"], ["deep/c"], []]
    defs = build(shape)
    ran = defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=dg.DagsterInstance.ephemeral())
    assert ran.success
    assert len(ran.get_asset_materialization_events()) == 3
    assert len(ran.get_asset_check_evaluations()) == 2


def test_the_orm_script_moves_every_row_and_seals_each_password_anew(
    database: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = build_store(tmp_path / "store", "big", credentials=200)
    url = database.url.render_as_string(hide_password=False)
    for name, value in {**store.environment(), "CREDSTORE_TARGET_KEY": "new", "CREDSTORE_POSTGRES_URL": url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["orm_script", str(store.path)])
    orm_script.main()
    connection = psycopg2.connect(database.url.set(drivername="postgresql").render_as_string(hide_password=False))
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, password FROM credentials")
        stored = dict(cursor.fetchall())
        cursor.execute("SELECT count(*) FROM credential_tags")
        assert cursor.fetchone() == (400,)
    connection.close()
    opener = orm_script.fernet_of("new")
    for row in store.expected["credentials"]:
        sealed = stored.pop(row["id"])
        if row["password"] is None:
            assert sealed is None
        else:
            token = json.loads(orm_script.reseal(sealed, opener, opener))["encrypted_data"]
            assert opener.decrypt(orm_script.base64.b64decode(token)).decode() == row["password"]
    assert stored == {}
    assert sqlite3.connect(store.path).execute("SELECT count(*) FROM credentials").fetchone() == (200,)
