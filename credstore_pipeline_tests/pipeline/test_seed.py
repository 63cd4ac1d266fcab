"""Seeding in the flow: only where it is asked for, and never after a refusal."""

import pytest

from credstore_pipeline.core.seeding.plan import Seeding
from credstore_pipeline.core.seeding.seed import seed_tags
from credstore_pipeline_tests.lab import ALLOW_ALL
from credstore_pipeline_tests.pipeline.flow import flow, opened

WHOLE = "__ASSET_JOB"
PASSWORD = "canary-4c1f-seeded"
GIVEN = {"CREDSTORE_SEED_ADMIN_PASSWORD": PASSWORD}
NAMES = "SELECT name FROM tags ORDER BY 1"
PUBLISHED = {"admin_password", "backup_password", "monitor_password", "readonly_password"}
DEFAULTS = [("Default",), ("Firewalls",), ("Routers",), ("Switches",)]


@pytest.fixture
def fresh(lab):
    """A new installation: no legacy store, an empty database."""
    made = lab("setup_plain")
    made.settings |= {"CREDSTORE_SQLITE_PATH": str(made.folder / "none.db"), "CREDSTORE_KEY_DIR": "/nowhere"}
    return made


def test_both_jobs_seed_an_empty_database_without_a_legacy_store(fresh):
    run = fresh.run("seed_default_tags")
    assert run.success, run.failure
    assert run.metadata("seed/default_tags")["made"] == 4
    assert fresh.sql(NAMES) == DEFAULTS
    skipped = fresh.run("seed_default_credentials")
    assert "no password is given" in skipped.metadata("seed/default_credentials")["outcome"]
    run = fresh.run("seed_default_credentials", **GIVEN)
    assert run.metadata("seed/default_tags")["made"] == 0
    assert run.metadata("seed/default_credentials")["made"] == 1
    ((stored,),) = fresh.sql("SELECT password FROM credentials")
    assert opened(stored) == PASSWORD
    assert PASSWORD not in "\n".join(run.log)


@pytest.mark.ci
def test_a_whole_run_migrates_names_published_defaults_and_seeds_only_if_that_is_asked(lab):
    made = lab("setup_plain")
    made.settings |= ALLOW_ALL
    quiet = made.run(WHOLE, **GIVEN)
    assert quiet.success, quiet.failure
    assert quiet.checks["no_published_default_passwords"] is False
    known = [row["id"] for row in made.store.expected["credentials"] if row["password"] in PUBLISHED]
    (part,) = [part for part in made.report(quiet)["parts"] if part["stage"] == "preflight/census"]
    assert sorted(row["credential"] for row in part["tables"]["Published default passwords"]) == sorted(known)
    assert not any(password in str(part) for password in PUBLISHED)
    before = made.sql(NAMES)
    for name in ("seed/default_tags", "seed/default_credentials"):
        assert quiet.metadata(name)["outcome"].startswith("Not asked")
    asked = made.run(WHOLE, CREDSTORE_SEED="true", **GIVEN)
    assert asked.success, asked.failure
    assert set(made.sql(NAMES)) == {*before, *DEFAULTS}
    outcome = asked.metadata("seed/default_credentials")["outcome"]
    assert "the store has" in outcome and "credentials already" in outcome


def test_a_refused_migration_seeds_nothing(lab):
    made = lab("setup_plain")
    assert not made.run(WHOLE, CREDSTORE_SEED="true", CREDSTORE_PLAINTEXT="refuse").success
    assert made.sql("SELECT tablename FROM pg_tables WHERE schemaname IN ('public', 'credstore_sync')") == []


def test_a_store_migrates_into_a_seeded_database_and_its_tags_are_mapped(lab):
    made = lab("setup_plain")
    seed_tags(Seeding(made.database), "seed")
    assert flow(made).load().kind == "initial"
    assert made.sql("SELECT name FROM tags GROUP BY 1 HAVING count(*) > 1") == []
    assert set(DEFAULTS) <= set(made.sql(NAMES))
    assert made.sql("SELECT count(*) FROM credstore_sync.tag_map") == [(3,)]
    assert flow(made).red() == {}


def test_a_published_default_is_refused_before_anything_is_touched_and_not_shown(fresh):
    run = fresh.run("seed_default_credentials", CREDSTORE_SEED_BACKUP_PASSWORD="backup_password")
    assert not run.success
    assert "CREDSTORE_SEED_BACKUP_PASSWORD: it is one of the application's published default passwords" in run.failure
    assert "backup_password," not in run.failure
    assert fresh.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'credstore_sync'") == [(0,)]


def test_what_is_wrong_in_the_seed_file_stops_a_migration_too(lab, tmp_path):
    seeds = tmp_path / "seed.yaml"
    seeds.write_text("tags:\n  - name: Core\n    color: red\n")
    run = lab("setup_plain").run(WHOLE, CREDSTORE_SEED_FILE=str(seeds))
    assert not run.success
    assert "CREDSTORE_SEED_FILE: line 3: `color` is not" in run.failure
