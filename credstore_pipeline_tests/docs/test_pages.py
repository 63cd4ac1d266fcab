"""Each page's commands, typed in their order by somebody whose store, target and paths are made up."""

import os
import shlex
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from credstore_pipeline.demo.story import write_settings
from credstore_pipeline.embedded import embedded_server
from credstore_pipeline.reference.pages import pages
from credstore_pipeline_tests.containers.system import _programs
from credstore_pipeline_tests.docs.blocks import ROOT, Block, blocks, commands
from credstore_pipeline_tests.docs.session import Session, clone
from credstore_pipeline_tests.ports import free_port
from credstore_pipeline_tests.window import test_runbook

pytestmark = pytest.mark.ci

SQL = {page.name: [block.text for block in blocks(page, "sql")] for page in pages(ROOT)}


def test_the_runbook_runs_as_it_is_written(reader):
    """The commands of the front page in order; then its SQL, of which the last takes everything back."""
    at = reader("demo", exported=False)
    set_up, *rest = commands("README.md")
    assert [block.code for block in rest] == [0, 1, 0, 1, 0, 0, 0, 0]
    at.run(set_up)
    example = dict(line.split("=", 1) for line in (at.folder / "settings.env").read_text().splitlines())
    assert "CREDSTORE_SQLITE_PATH" in example
    # The reader's own store and target instead of the example's.
    write_settings(at.folder / "settings.env", at.settings)
    said = [at.run(block) for block in rest]
    assert "### Census" in said[2]
    assert "7 credentials cannot be migrated" in said[3]
    assert said[6] == "store.db: OK\n"
    assert not at.lab.store.path.with_name("store.db-wal").exists()
    asked = [at.lab.sql(part) for sql in (*SQL["reasons.md"], SQL["README.md"][0]) for part in _statements(sql)]
    assert len(asked) == 5
    assert all(asked)
    at.lab.sql(SQL["README.md"][1])
    tables = "SELECT (SELECT count(*) FROM credentials) + (SELECT count(*) FROM tags)"
    assert at.lab.sql(f"{tables}, to_regnamespace('credstore_sync') IS NULL") == [(0, True)]


def test_preflights_findings_are_looked_at_again_when_the_key_is_found(reader):
    at = reader("key_rotation")
    (look,) = commands("preflight-findings.md")
    assert "opened" in at.run(look)


def test_the_page_of_keys_shows_them_and_changes_the_targets(reader):
    at = reader("setup_plain", CREDSTORE_TARGET_KEY="the former key string")
    migrate = Block("keys.md", "sh", "credstore migrate\n", 0, False, "")
    at.run(migrate)
    needed, another = commands("keys.md")
    assert "data key" in at.run(needed)
    sealed = at.lab.sql("SELECT id, password FROM credentials ORDER BY id")
    at.run(another)
    assert [row for row in at.lab.sql("SELECT id, password FROM credentials ORDER BY id") if row in sealed] == []


def test_the_page_of_commands_goes_from_the_first_look_to_a_settled_conflict(reader):
    at = reader("demo", CREDSTORE_MAX_QUARANTINED="7", CREDSTORE_MAX_QUARANTINED_LINKS="3")
    first, live, completion = commands("command-line.md")
    said = at.run(first)
    assert said.count(": green, run ") == 3
    # Two conflicts, with the numbers that the page has as an example.
    at.lab.sql("ALTER TABLE credstore_sync.conflicts ALTER COLUMN conflict_id RESTART WITH 12")
    ids = [row[0] for row in at.lab.sql("SELECT id FROM credentials ORDER BY created_at, id LIMIT 2")]
    for row_id in ids:
        at.lab.sql("UPDATE credentials SET description = 'as PostgreSQL has it' WHERE id = %s", row_id)
    _write(at.lab.store.path, f"UPDATE credentials SET description = 'as SQLite has it' WHERE id IN {tuple(ids)}")
    at.run(Block("", "sh", "credstore migrate\n", 0, False, ""))
    said = at.run(live)
    assert "12" in said and "13" in said
    found = at.lab.sql("SELECT id, description FROM credentials WHERE id IN (%s, %s)", *ids)
    assert sorted(text for _, text in found) == ["as PostgreSQL has it", "as SQLite has it"]
    at.run(completion)
    left = [file for file in (at.folder / "home-of-the-reader").rglob("*") if file.is_file()]
    assert any("credstore" in file.read_text(errors="replace") for file in left)


def test_the_window_is_opened_by_the_page_of_the_window(reader):
    """Everything after it is typed, and its output compared, by window/test_runbook.py."""
    at = reader("web")
    port = free_port()
    at.own = {"-h 127.0.0.1": f"-h 127.0.0.1 -p {port}"}
    (opened,) = [block for block in commands("transition-window.md") if block.serves]
    at.serve(opened, f"http://127.0.0.1:{port}/server_info")
    at.stop()


def test_a_database_gets_its_roles_and_tables_without_containers(tmp_path):
    secrets, without = commands("containers.md")
    with embedded_server(Path(os.environ["CREDSTORE_TESTS_SERVER"]) / "roles", port=free_port()) as server:
        url = server.url("netraven")
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(url.port), "PGUSER": url.username, "PGPASSWORD": url.password}
        at = Session(clone(tmp_path / "clone"), {**place, "POSTGRES_PORT": str(url.port)})
        at.own = {
            "/srv/credstore/netraven.key": str(tmp_path / "netraven.key"),
            "/srv/credstore/postgres.password": str(tmp_path / "postgres.password"),
            "db.example": "127.0.0.1",
        }
        (tmp_path / "netraven.key").write_text("a key string")
        (tmp_path / "postgres.password").write_text("of the migrator")
        try:
            at.run(secrets)
            made = at.folder / "docker" / "secrets"
            assert made.stat().st_mode & 0o777 == 0o700
            assert {file.name: file.stat().st_mode & 0o777 for file in made.iterdir()} == dict.fromkeys(
                ("postgres_password", "migrator_password", "app_password", "dagster_password",
                 "netraven_encryption_key"), 0o444)  # fmt: skip
            at.run(Block("", "sh", f"cd ..; PATH={shlex.quote(str(_programs()))}:$PATH\n", 0, False, ""))
            at.run(without, typed="of the migrator\nof the migrator\nof the application\nof the application\n")
        finally:
            at.close()
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            found = connection.execute(sa.text("SELECT name FROM tags ORDER BY 1")).scalars().all()
        engine.dispose()
    assert {"Default", "Firewalls", "Routers", "Switches"} <= set(found)


RUN = {
    "README.md": test_the_runbook_runs_as_it_is_written,
    "reasons.md": test_the_runbook_runs_as_it_is_written,
    "preflight-findings.md": test_preflights_findings_are_looked_at_again_when_the_key_is_found,
    "keys.md": test_the_page_of_keys_shows_them_and_changes_the_targets,
    "command-line.md": test_the_page_of_commands_goes_from_the_first_look_to_a_settled_conflict,
    "transition-window.md": test_runbook.test_the_runbook_prints_what_the_page_says,
    "containers.md": test_a_database_gets_its_roles_and_tables_without_containers,
}
"""Page -> the test that runs its commands."""


def _statements(sql: str) -> list[str]:
    return [part for part in sql.split(";") if part.strip()]


def _write(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
