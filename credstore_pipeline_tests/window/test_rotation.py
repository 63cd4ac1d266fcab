"""Another target key: everything sealed anew in one transaction, and which keys are still needed."""

import pytest

from credstore_pipeline.core.drift import find_drift
from credstore_pipeline.core.errors import TargetKeyChanged
from credstore_pipeline.core.rotation.retirement import NOT_GIVEN, key_retirement
from credstore_pipeline.core.rotation.rotate import rotate_target_key
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, content, flow, sealed, session
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
