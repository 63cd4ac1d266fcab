"""No password, no key and no unusable value gets out, however a run ends: every place is searched for canaries."""

import base64
import json
import sqlite3
import traceback

import dagster as dg
import pytest
from dagster._utils.error import serializable_error_info_from_exc_info

from credstore_pipeline.boundary import told
from credstore_pipeline.core.data_key import Purpose, TargetPurpose, subkey, target_subkey, unwrap_data_key
from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.resources import Credstore
from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.leaks import canaries
from credstore_pipeline_tests.leaks.canaries import WORD, needles, search
from credstore_pipeline_tests.pipeline.flow import opened, sealed
from credstore_pipeline_tests.pipeline.launcher import start

CONTROL = "Kontrollvogelschreit"
"""Planted by the tests themselves, to see that the search finds it where a canary would be."""


def run(aviary, *arguments, expected=0, **how):
    """Run the real command line to its end, and return what it said."""
    command = start(aviary.lab, *arguments, **how)
    assert command.wait() == expected, command.text[-4000:]
    return command.text


def application_tables(aviary):
    aviary.lab.sql(W5FF43A7.replace("{schema}", "public"))


# The search itself


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: text.encode(),
        lambda text: json.dumps({"error": f"bad value '{text}'"}).encode(),
        lambda text: json.dumps(json.dumps({"error": text})).encode(),
        lambda text: repr({"row": (1, text)}).encode(),
        lambda text: text[:12].encode(),
        *(lambda text, n=n: base64.b64encode(b"x" * n + text.encode() + b"yz") for n in range(3)),
        *(lambda text, n=n: base64.urlsafe_b64encode(b"x" * n + text.encode() + b"yz") for n in range(3)),
        lambda text: text.encode().hex().encode(),
        lambda text: text.encode().hex().upper().encode(),
        lambda text: text.encode("utf-16-le"),
        lambda text: base64.urlsafe_b64decode(text[:40]),
        lambda text: base64.urlsafe_b64decode(text[:40]).hex().encode(),
    ],
    ids=[
        "clear",
        "JSON",
        "JSON-in-JSON",
        "repr",
        "cut",
        "base64-0",
        "base64-1",
        "base64-2",
        "url64-0",
        "url64-1",
        "url64-2",
        "hex",
        "HEX",
        "utf-16",
        "raw-key",
        "raw-key-hex",
    ],
)
def test_the_search_finds_a_canary_in_every_disguise(disguise):
    text = WORD + "abcdefghijklmnopqrstuvwxyz" if disguise(WORD * 3)[:1] not in b"K" else canaries.canary("any")
    assert search(b"\0before " + disguise(text) + b" after", "here", needles())
    assert not search(b"\0before " + disguise(text.swapcase()[::-1]) + b" after", "here", needles())


def test_the_search_finds_what_is_planted_in_each_place(aviary):
    lab = aviary.lab
    assert lab.environment()
    assert not aviary.files(CONTROL)
    assert not aviary.database(CONTROL)
    with sqlite3.connect(lab.home / "events.db") as events:
        events.execute("CREATE TABLE event_logs (event TEXT)")
        events.execute("INSERT INTO event_logs VALUES (?)", (json.dumps({"message": canaries.canary("x") + CONTROL}),))
    events.close()
    (lab.folder / "temporary" / "left.parquet").write_bytes(base64.b64encode(CONTROL.encode()))
    assert {found.place.rpartition("/")[2] for found in aviary.files(CONTROL)} == {"events.db", "left.parquet"}
    lab.sql("CREATE TABLE public.seen AS SELECT %s::text AS note", CONTROL)
    places = {found.place for found in aviary.database(CONTROL)}
    assert {"server log", "tables"} < places
    assert any("/data/base/" in place for place in places)


# What runs leave


@pytest.mark.ci
def test_a_store_is_migrated_verified_refused_and_found_altered_without_a_leak(aviary):
    """All of it with the real command line: a good run, `verify`, a wrong key, missing keys, proofs that turn red."""
    lab = aviary.lab
    application_tables(aviary)
    said = run(aviary)
    stored = dict(lab.sql("SELECT name, password FROM public.credentials"))
    for name in lab.store.expected["loaded"]:
        assert opened(stored[name], canaries.TARGET_KEY).startswith(WORD), name
    assert len(said) > 10_000
    assert not list((lab.home / "staging").iterdir())
    verify = ("job", "execute", "-m", "credstore_pipeline.definitions", "-j", "verify")
    run(aviary, *verify)
    said = run(aviary, *verify, expected=1, CREDSTORE_TARGET_KEY=canaries.canary("another target key"))
    assert "the target was sealed under another target key" in said
    said = run(aviary, expected=1, CREDSTORE_SOURCE_KEYS="[]", CREDSTORE_MAX_QUARANTINED="0")
    assert "undecryptable_secret" in said
    assert not aviary.files()
    assert not aviary.database()
    assert_no_derived_key_is_kept(aviary)
    for kept in (lab.home / "reports", lab.home / "staging", lab.snapshots):
        for path in kept.rglob("*"):
            assert path.stat().st_mode & 0o077 == 0, path
    assert lab.snapshots.stat().st_mode & 0o777 == 0o700

    other_key = sealed(canaries.canary("token"), canaries.APPLICATION_KEY)
    lab.sql("UPDATE public.credentials SET password = %s WHERE name = 'token'", other_key)
    assert "the application cannot read 1 rows" in run(aviary, *verify, expected=1)
    assert not aviary.files()
    assert not aviary.database()


def assert_no_derived_key_is_kept(aviary):
    """Nor do the keys that are made from the canaries stand anywhere."""
    lab, told = aviary.lab, aviary.lab.store.env
    material = KeyMaterial(
        canaries.TARGET_KEY,
        told["encryption_key"],
        tuple(told["source_keys"]),
        lab.store.folder / "keys",
        lab.store.folder / told["key_backup"],
        canaries.BACKUP_PASSWORD,
    )
    ring = build_ring(material)
    wrapped = lab.sql("SELECT wrapped FROM credstore_sync.data_key")[0][0]
    data_key = unwrap_data_key(bytes(wrapped), ring).data_key
    keys = [key.material() for key in ring.keys if not key.implied] + [data_key]
    keys += [subkey(data_key, purpose) for purpose in Purpose]
    keys += [target_subkey(ring, purpose) for purpose in TargetPurpose]
    wanted = set()
    for key in keys:
        wanted |= {key, key.hex().encode(), base64.b64encode(key)[:40], base64.urlsafe_b64encode(key)[:40]}
    folders = (lab.home, lab.folder / "output", lab.folder / "temporary")
    kept = [path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()]
    for content in [*kept, aviary.tables(), aviary.server_log()]:
        assert not search(content, "", wanted)


STAGES = {
    "keys": "credstore_pipeline.resources:build_ring",
    "snapshot": "credstore_pipeline.assets.snapshot:take",
    "extract": "credstore_pipeline.core.passing:extract",
    "census": "credstore_pipeline.core.judging:SecretPool.judge",
    "validate": "credstore_pipeline.core.validation.validate:validate_credentials",
    "load": "credstore_pipeline.core.load.write:copy_in",
    "proofs": "credstore_pipeline.core.proofs.prove:secrets_match_source",
    "report": "credstore_pipeline.io_manager:SealedParquetIOManager.forget",
    "between steps": "credstore_pipeline.io_manager:seal_frame",
}


@pytest.mark.parametrize(
    "stage", [stage if stage == "extract" else pytest.param(stage, marks=pytest.mark.ci) for stage in STAGES]
)
def test_an_exception_that_quotes_a_password_ends_the_run_and_is_not_repeated(aviary, stage):
    said = run(aviary, expected=1, raise_in=(STAGES[stage], f"cannot read {canaries.canary('in an exception')}"))
    assert "an unforeseen ValueError at" in said
    assert "Its text is not shown" in said
    assert not aviary.files()
    assert not aviary.database()


@pytest.mark.ci
def test_a_lost_connection_and_a_row_that_the_server_refuses_leak_nothing(aviary):
    """The server's log has the statement and the whole row; only ciphertext is in them."""
    application_tables(aviary)
    aviary.lab.sql("CREATE SEQUENCE public.tries")
    aviary.lab.sql(
        "CREATE FUNCTION public.disturb() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('public.tries') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); "
        "END IF; RETURN NULL; END $$"
    )
    aviary.lab.sql(
        "CREATE TRIGGER disturb BEFORE INSERT ON public.credentials FOR EACH STATEMENT "
        "EXECUTE FUNCTION public.disturb()"
    )
    aviary.lab.sql("ALTER TABLE public.credentials ADD CONSTRAINT none CHECK (password IS NULL)")
    said = run(aviary, expected=1)
    assert "attempt 1 failed and is tried again" in said
    assert "SQLSTATE 23514 check_violation" in said
    assert "constraint none" in said
    assert b"Failing row contains" in aviary.server_log()
    assert not aviary.files()
    assert not aviary.database()


# What is wrong before anything runs


@pytest.mark.parametrize(
    "wrong",
    [
        {"CREDSTORE_SOURCE_KEYS": f'["{canaries.canary("broken list")}'},
        {"CREDSTORE_SOURCE_KEYS": json.dumps([{"key": canaries.canary("no list of strings")}])},
        {"CREDSTORE_POSTGRES_URL": f"mysql://someone:{WORD}@db:port/{WORD}"},
        {"CREDSTORE_POSTGRES_URL": f"{WORD} is no URL"},
        {"POSTGRES_PASSWORD": canaries.canary("disagrees with the URL")},
        {"POSTGRES_PORT": WORD},
        {"CREDSTORE_KEY_BACKUP_PASSWORD": canaries.canary("wrong backup password")},
        {"CREDSTORE_KEY_BACKUP_PASSWORD": "", "CREDSTORE_KEY_BACKUP_PASSWORD_FILE": f"/nowhere/{WORD}"},
        {"CREDSTORE_MAX_QUARANTINED": WORD},
        {"CREDSTORE_PLAINTEXT": WORD},
        {"CREDSTORE_TARGET_KEY": f"{WORD}\udcff"},
    ],
    ids=lambda wrong: next(reversed(wrong)),
)
def test_wrong_settings_are_named_and_not_quoted(aviary, monkeypatch, wrong):
    for name, value in aviary.lab.environment(**wrong).items():
        monkeypatch.setenv(name, value)
    name = next(reversed(wrong))
    told_of = assert_nothing_is_quoted()
    # A path is no secret; the file's content would be.
    assert name in told_of or name.removesuffix("_FILE") in told_of


def test_a_damaged_key_file_is_named_and_not_quoted(aviary, monkeypatch):
    for name, value in aviary.lab.environment().items():
        monkeypatch.setenv(name, value)
    (file,) = (aviary.lab.store.folder / "keys").glob("*.key")
    file.write_text(canaries.canary("no key at all"))
    (aviary.lab.store.folder / "keys" / "key_metadata.json").write_text(f'{{"keys": "{WORD}')
    assert_nothing_is_quoted()


def assert_nothing_is_quoted():
    """Read settings and keys as a step does; give the failure's text, and look into its traceback as Dagster does."""
    credstore = Credstore()
    with pytest.raises(dg.Failure) as failure, told("a step"):
        credstore.ring()
    shown = serializable_error_info_from_exc_info((failure.type, failure.value, failure.tb))
    quoted = repr(shown) + "".join(traceback.format_exception(failure.value)) + repr(credstore)
    assert not search(quoted.encode(), "what is told", needles())
    return str(failure.value.description)


@pytest.mark.ci
def test_the_windows_end_and_the_way_back_leak_nothing(aviary):
    """Cutover, a late writer, the account of keys, the way back in the clear, another key: refused and done."""
    lab = aviary.lab
    run(aviary)

    def job(name, config=None, expected=0, **settings):
        told = lab.folder / f"{name}.yaml"
        told.write_text(json.dumps({"ops": config} if config else {}))
        arguments = ("job", "execute", "-m", "credstore_pipeline.definitions", "-j", name, "-c", str(told))
        return run(aviary, *arguments, expected=expected, **settings)

    confirmed = {"cut_over": {"config": {"confirm": str(lab.store.path), "block_writers": False}}}
    assert "Write confirm" in job("cutover", {"cut_over": {"config": {"confirm": "x"}}}, expected=1)
    job("cutover", confirmed)
    with sqlite3.connect(lab.store.path) as late:
        late.execute("INSERT INTO tags (id, name) VALUES ('late', ?)", (canaries.canary("late"),))
    job("watch")
    plain = {"CREDSTORE_ROLLBACK_FORMAT": "plaintext"}
    assert "confirm_plaintext" in job("rollback_export", expected=1, **plain)
    job(
        "rollback_export",
        {"export": {"config": {"to": str(lab.snapshots / "back.db"), "confirm_plaintext": True}}},
        **plain,
    )
    assert WORD.encode() in (lab.snapshots / "back.db").read_bytes()
    job("key_retirement")
    job("rotate_target_key", CREDSTORE_TARGET_KEY=canaries.canary("another target key"), **_with_former())
    assert not aviary.files()
    assert not aviary.database()


def _with_former():
    keys = json.loads(canaries.settings().get("CREDSTORE_SOURCE_KEYS", "[]"))
    return {"CREDSTORE_SOURCE_KEYS": json.dumps([*keys, canaries.TARGET_KEY])}
