"""Another target key: everything sealed anew in one transaction, and which keys are still needed."""

import resource
from contextlib import contextmanager

import pytest

from credstore_pipeline.core.drift import find_drift
from credstore_pipeline.core.errors import SnapshotNotProven, TargetError, TargetKeyChanged
from credstore_pipeline.core.rotation.retirement import NOT_GIVEN, key_retirement
from credstore_pipeline.core.rotation.rotate import rotate_target_key
from credstore_pipeline.core.taking import take
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, content, flow, sealed, session
from credstore_pipeline_tests.pipeline.proxy import lossy
from credstore_pipeline_tests.window.conftest import end

NEW = "another target key, made up as well"


def rotate(at, key=NEW, further=(TARGET_KEY,)):
    run = flow(at, target_key=key, further_keys=further)
    return rotate_target_key(run.deployment, run.ring, run.run_id, run.log.append)


def test_every_sealed_password_stands_under_the_new_key_the_applications_own_too(loaded):
    at = loaded()
    before = content(at)
    at.sql(
        "INSERT INTO credentials (id, name, username, password) "
        "VALUES ('own', 'own', 'own', %s), ('clear', 'c', 'c', 'c')",
        sealed("of the application"),
    )
    done = rotate(at)
    at.sql("DELETE FROM credentials WHERE id = 'clear'")
    after = content(at, NEW)
    assert after.pop("credentials own")["password"] == "of the application"
    assert after == before
    assert done.by_key == {"source_keys[0]": done.resealed}
    assert (done.plaintext, done.unopened, done.wrapped) == (1, (), True)


def test_a_second_rotation_writes_nothing(loaded):
    at = loaded()
    rotate(at)
    state = at.state()
    done = rotate(at)
    assert (done.resealed, done.wrapped) == (0, False)
    assert done.already > 0
    assert at.state() == state


def test_after_a_rotation_a_re_sync_writes_nothing_and_every_proof_holds(loaded):
    at = loaded()
    rotate(at)
    run = flow(at, target_key=NEW, further_keys=(TARGET_KEY,))
    assert not [name for name, found in run.prove().items() if found.fatal and not found.passed]
    state = at.state()
    run.load()
    assert at.state() == state


def test_a_rotation_after_cutover_leaves_late_writers_and_snapshots_known(loaded):
    at = loaded()
    end(at)
    rotate(at)
    run = flow(at, target_key=NEW)
    name = at.sql("SELECT snapshot_name FROM credstore_sync.cutover")[0][0]
    assert find_drift(run.deployment, run.ring, name).rows == 0
    assert not [name for name, found in run.prove().items() if found.fatal and not found.passed]


def holds(at, key=NEW, further=(TARGET_KEY,)):
    """Every proof holds under the key, and the next pass knows the last load's snapshot again."""
    run = flow(at, target_key=key, further_keys=further)
    assert not run.red()
    assert take(run.deployment, run.ring, run.run_id).reused


def digests(at):
    return at.sql("SELECT source_digest FROM credstore_sync.runs WHERE snapshot_name IS NOT NULL")


@contextmanager
def full_disk():
    """No file of this process can grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_rotation_that_fails_at_commit_leaves_the_snapshots_known_under_the_former_key(loaded):
    """Found with PostgreSQL as before and the manifests under the new key: `verify` knew no snapshot."""
    at = loaded()
    at.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'at commit'; END $$; "
        "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON credstore_sync.data_key DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(TargetError):
        rotate(at)
    holds(at, TARGET_KEY, ())
    at.sql("DROP TRIGGER late ON credstore_sync.data_key")
    assert rotate(at).manifests == 1
    holds(at)


def test_a_rotation_whose_commit_never_arrived_is_made_again_books_and_manifests_alike(loaded):
    """Found with books under the former key for good: the second attempt met manifests under the new one."""
    at = loaded()
    with lossy(at.database, "before", marks=b"UPDATE credstore_sync.data_key") as proxy:
        run = flow(at, target=proxy.target, target_key=NEW, further_keys=(TARGET_KEY,))
        done = rotate_target_key(run.deployment, run.ring, run.run_id, run.log.append)
        assert proxy.reached.is_set()
    assert done.manifests == 1
    holds(at)


def test_manifests_that_could_not_be_written_are_named_and_written_by_the_next_rotation(loaded):
    at = loaded()
    with full_disk(), pytest.raises(SnapshotNotProven, match="is committed and stands: readers must restart") as error:
        rotate(at)
    assert "(EFBIG)" in str(error.value)
    run = flow(at, target_key=NEW, further_keys=(TARGET_KEY,))
    with pytest.raises(SnapshotNotProven, match="launch it again, with the former key"):
        run.prove()
    done = rotate(at)
    assert (done.resealed, done.manifests) == (0, 1)
    assert not [name for name in at.snapshots.rglob("*") if "resealed" in name.name]
    holds(at)


def test_books_that_do_not_know_of_manifests_under_the_new_key_are_told(loaded):
    """As a rotation that wrote the manifests before its commit left them, when it was killed in between."""
    at = loaded()
    (before,) = digests(at)
    rotate(at)
    (after,) = digests(at)
    at.sql("UPDATE credstore_sync.runs SET source_digest = %s WHERE source_digest = %s", *before, *after)
    assert rotate(at).manifests == 0
    assert digests(at) == [after] != [before]
    holds(at)


def test_without_the_former_key_nothing_is_rotated(loaded):
    at = loaded()
    state = at.state()
    with pytest.raises(TargetKeyChanged):
        rotate(at, further=())
    assert at.state() == state


def test_a_password_that_no_key_opens_is_named_and_left(loaded):
    at = loaded()
    lost = sealed("x", "a key that nobody gave")
    at.sql("UPDATE credentials SET password = %s WHERE id = (SELECT min(id) FROM credentials)", lost)
    assert len(rotate(at).unopened) == 1
    assert (lost,) in at.sql("SELECT password FROM credentials")


def test_a_row_that_the_application_writes_meanwhile_keeps_what_it_wrote(loaded):
    at = loaded()
    with session(at.database) as connection:
        row = connection.exec_driver_sql("SELECT min(id) FROM credentials").scalar_one()
        connection.exec_driver_sql("UPDATE credentials SET password = %s WHERE id = %s", (sealed("fresh"), row))
    rotate(at)
    assert content(at, NEW)[f"credentials {row}"]["password"] == "fresh"


def test_the_account_of_keys_names_each_store_and_what_can_be_retired(loaded):
    at = loaded("key_rotation")
    run = flow(at)
    found = key_retirement(run.deployment, run.ring, run.run_id)
    by_store = {}
    for row in found.rows:
        by_store.setdefault(row["store"], {})[row["key"]] = row["rows"]
    assert by_store["target"]["default"] == at.sql("SELECT count(*) FROM credentials WHERE password <> ''")[0][0]
    assert by_store["data key"] == {"default": 1}
    assert any(key.startswith("key_") for key in by_store["legacy store (snapshot last loaded)"])
    rotate(at)
    run = flow(at, target_key=NEW, further_keys=(TARGET_KEY,))
    again = key_retirement(run.deployment, run.ring, run.run_id)
    assert NOT_GIVEN not in {row["key"] for row in again.rows if row["store"] == "target"}
    assert {row["key"] for row in again.rows if row["store"] == "data key"} == {"default"}
    assert any(name.startswith("source_keys") for name in again.retirable)
