"""What the demo is put together from; the whole of it runs with `make demo`."""

import shlex
import stat
from pathlib import Path

import psycopg2
import pytest

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.demo.commands import CommandLine, shown
from credstore_pipeline.demo.encodings import Pen, default_key
from credstore_pipeline.demo.grains import Grains
from credstore_pipeline.demo.readback import count_rows, read_by_tag, row_versions
from credstore_pipeline.demo.show import as_columns
from credstore_pipeline.demo.stores import build_store
from credstore_pipeline.demo.story import allowances, prepare_home, settings, write_settings


def test_a_command_inherits_nothing_that_steers_another_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POSTGRES_HOST", "NETRAVEN_ENCRYPTION_KEY", "CREDSTORE_TARGET_KEY", "DAGSTER_HOME"):
        monkeypatch.setenv(name, "from the shell")
    line = CommandLine({"DAGSTER_HOME": str(tmp_path)}, tmp_path / "logs")
    environment = line.environment(CREDSTORE_MAX_QUARANTINED="1")
    assert "from the shell" not in environment.values()
    assert environment["DAGSTER_HOME"] == str(tmp_path)
    assert environment["CREDSTORE_MAX_QUARANTINED"] == "1"
    assert "PATH" in environment


def test_a_command_is_shown_as_one_would_type_it() -> None:
    assert shown("asset", "materialize", "--select", "*", A="1") == "A=1 dagster asset materialize --select '*'"


def test_a_command_without_a_report_has_no_parts(tmp_path: Path) -> None:
    ran = CommandLine({"DAGSTER_HOME": str(tmp_path)}, tmp_path / "logs").dagster("help", "--version")
    assert (ran.exit_code, ran.parts, ran.report, ran.part("any")) == (0, [], None, {})
    assert "dagster" in ran.log.read_text()


def test_settings_can_be_read_by_a_shell_and_by_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    write_settings(file, {"A": "two words", "B": "it's"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [shlex.split(line) for line in file.read_text().splitlines()] == [["A=two words"], ["B=it's"]]


def test_the_demo_allows_exactly_the_rows_that_cannot_be_migrated(tmp_path: Path) -> None:
    store = build_store(tmp_path / "store")
    assert allowances(store) == {"CREDSTORE_MAX_QUARANTINED": "7", "CREDSTORE_MAX_QUARANTINED_LINKS": "3"}
    told = settings(tmp_path, store)
    assert told["CREDSTORE_POSTGRES_URL"] == "embedded"
    assert not Path(told["CREDSTORE_BACKUP_DIR"]).is_relative_to(told["DAGSTER_HOME"])
    prepare_home(tmp_path / "home")
    assert "telemetry" in (tmp_path / "home" / "dagster.yaml").read_text()


def test_credentials_are_read_back_by_priority_and_shown_by_length_alone(database: Target) -> None:
    key = default_key("read back key")
    pen = Pen(Grains(1))
    connection = psycopg2.connect(database.url.set(drivername="postgresql").render_as_string(hide_password=False))
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE tags (id text, name text)")
        cursor.execute("CREATE TABLE credentials (id text, name text, username text, password text)")
        cursor.execute("CREATE TABLE credential_tags (credential_id text, tag_id text, priority float)")
        cursor.execute("INSERT INTO tags VALUES ('t', 'Routers')")
        for name, priority in (("low", 1), ("high", 9), ("middle", 5)):
            stored = pen.envelope(f"canary-{name}", key).value
            cursor.execute("INSERT INTO credentials VALUES (%s, %s, 'u', %s)", (name, name, stored))
            cursor.execute("INSERT INTO credential_tags VALUES (%s, 't', %s)", (name, priority))
    connection.close()
    first, second = read_by_tag(database.url, "read back key", "Routers", 2)
    assert (first.password, second.password) == ("canary-high", "canary-middle")
    assert first.masked == "*********** (11 characters)"
    assert "canary" not in repr(first)
    assert count_rows(database.url, "credentials") == 3
    assert count_rows(database.url, "no_such_table") == 0
    before = row_versions(database.url)
    connection = psycopg2.connect(database.url.set(drivername="postgresql").render_as_string(hide_password=False))
    with connection, connection.cursor() as cursor:
        cursor.execute("UPDATE credentials SET name = name WHERE id = 'low'")
    connection.close()
    after = row_versions(database.url)
    assert (before["tags"], before["credential_tags"]) == (after["tags"], after["credential_tags"])
    assert before["credentials"] != after["credentials"]


def test_columns_are_aligned_and_numbers_stand_to_the_right() -> None:
    rows = [{"key": "default", "rows": 12}, {"key": None, "rows": 3}]
    assert as_columns(rows).splitlines() == ["key      rows", "default    12", "            3"]
    assert as_columns([]) == "(nothing)"
