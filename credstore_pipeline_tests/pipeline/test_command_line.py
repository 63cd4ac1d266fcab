"""Exit codes and first lines of the real command line."""

from pathlib import Path

import pytest

from credstore_pipeline_tests.lab import ALLOW_ALL, DAGSTER

VERIFY = ("job", "execute", "-m", "credstore_pipeline.definitions", "-j", "verify")


@pytest.mark.ci
def test_success_refusal_and_a_failed_check_have_the_exit_codes_they_should(lab):
    at = lab("lost_env")
    refused = at.command(CREDSTORE_MISSING_TAGS="placeholder")
    assert refused.returncode == 1
    assert "CREDSTORE_MAX_QUARANTINED" in refused.stderr + refused.stdout
    assert at.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]

    allowed = at.command(CREDSTORE_MISSING_TAGS="placeholder", **ALLOW_ALL)
    assert allowed.returncode == 0, allowed.stderr[-2000:]

    lose_credentials(at)
    failed = at.command(*VERIFY)
    assert failed.returncode == 1
    assert "row_counts_match" in failed.stderr + failed.stdout


def lose_credentials(at):
    """A row that the books no longer know is a row lost: the proof must see it, and say so with its exit code."""
    at.sql("DELETE FROM public.credential_tags")
    at.sql("DELETE FROM public.credentials")
    at.sql("DELETE FROM credstore_sync.row_state WHERE source_table = 'credentials'")


@pytest.mark.ci
def test_a_forgotten_setting_is_named_before_anything_is_touched(lab):
    at = lab("setup_empty")
    run = at.command(CREDSTORE_POSTGRES_URL="", CREDSTORE_TARGET_KEY="")
    assert run.returncode == 1
    said = run.stderr + run.stdout
    assert "CREDSTORE_POSTGRES_URL: not set" in said
    assert "CREDSTORE_TARGET_KEY: not set" in said
    assert not at.snapshots.exists()


@pytest.mark.ci
def test_dg_launches_what_dagster_does(lab):
    at = lab("web")
    dg = str(Path(DAGSTER).with_name("dg"))
    preflight = at.command("launch", "--job", "preflight", program=dg)
    assert preflight.returncode == 0, preflight.stderr[-2000:]
    assert at.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    launched = at.command("launch", "--assets", "*", program=dg)
    assert launched.returncode == 0, launched.stderr[-2000:]
    assert at.sql("SELECT count(*) FROM public.credentials") == [(len(at.store.expected["credentials"]),)]
    lose_credentials(at)
    verified = at.command("launch", "--job", "verify", program=dg)
    assert verified.returncode != 0
    assert "row_counts_match" in verified.stderr + verified.stdout
