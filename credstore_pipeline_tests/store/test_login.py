"""Authentication end to end: a legacy store's credentials, in PostgreSQL, log in to a real SSH server."""

import threading
from datetime import datetime

import paramiko
import pytest

from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.core.secrets.sealing import seal
from credstore_pipeline_tests.lab import make_lab
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, flow
from credstore_pipeline_tests.store.conftest import KEY
from credstore_pipeline_tests.store.ssh_device import SshDevice, log_in

MOVED_AT = datetime(2026, 1, 2, 3, 4, 5)
TAGS = ("routers", "edge")


@pytest.fixture
def device():
    device = SshDevice()
    yield device
    device.close()


@pytest.fixture
def migrated(store, sql):
    """Rows as the migration writes them: id -> (user name, password, {tag: priority})."""
    ring = build_ring(KeyMaterial(KEY))

    def migrated(**credentials):
        for tag in TAGS:
            sql("INSERT INTO tags VALUES (%s, %s, NULL, '#3386FF', %s, %s)", tag, tag.title(), MOVED_AT, MOVED_AT)
        for credential_id, (username, password, priorities) in credentials.items():
            sql(
                "INSERT INTO credentials (id, name, username, password, use_keys, success_count, failure_count,"
                " created_at, updated_at) VALUES (%s, %s, %s, %s, false, 4, 2, %s, %s)",
                *(credential_id, credential_id, username, seal(password.encode(), ring), MOVED_AT, MOVED_AT),
            )
            for tag, priority in priorities.items():
                sql(
                    "INSERT INTO credential_tags (id, credential_id, tag_id, priority, success_count, failure_count,"
                    " created_at, updated_at) VALUES (%s, %s, %s, %s, 1, 0, %s, %s)",
                    *(f"{credential_id}/{tag}", credential_id, tag, priority, MOVED_AT, MOVED_AT),
                )

    return migrated


def counters(store):
    links = {one.id: (one.success_count, one.failure_count) for one in store.list_associations()}
    return {one.id: (one.success_count, one.failure_count) for one in store.list_credentials()} | links


def test_credentials_are_tried_in_their_order_until_one_logs_in(store, migrated, device, sql):
    migrated(
        last=("monitor", "unused", {"edge": 1}),
        second=("backup", "of long ago", {"edge": 50}),
        first=("root", "wrong", {"routers": 90, "edge": 5}),
        third=("admin", "pass wörd 密碼", {"routers": 20}),
    )
    device.passwords["admin"] = "pass wörd 密碼"
    assert log_in(store, TAGS, device.port) == ("third", "version of the device")
    assert device.tried == ["root", "backup", "admin"]
    assert counters(store) == {
        "first": (4, 3),
        "first/routers": (1, 1),
        "first/edge": (1, 0),
        "second": (4, 3),
        "second/edge": (1, 1),
        "third": (5, 2),
        "third/routers": (2, 0),
        "last": (4, 2),
        "last/edge": (1, 0),
    }
    assert sql("SELECT id FROM credentials WHERE last_success > %s", MOVED_AT) == [("third",)]
    assert store.get_tag_credential_stats("routers").success_rate == 75.0
    store.optimize_credential_priorities("routers")
    device.tried.clear()
    log_in(store, ["routers"], device.port)
    assert device.tried == ["admin"]


def test_a_device_that_lets_nobody_in_leaves_failures_alone(store, migrated, device):
    migrated(a=("admin", "wrong", {"routers": 1}), b=("backup", "wrong", {"routers": 2}))
    assert log_in(store, TAGS, device.port) is None
    assert counters(store) == {"a": (4, 3), "a/routers": (1, 1), "b": (4, 3), "b/routers": (1, 1)}


def test_a_key_file_logs_in(store, migrated, device, tmp_path):
    migrated()
    device.keys["robot"] = key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "id"))
    one = store.add_credential("Robot", "robot", use_keys=True, key_file=str(tmp_path / "id"), tags=["edge"])
    assert log_in(store, ["edge"], device.port) == (one, "version of the device")
    assert counters(store)[one] == (1, 0)


def test_logins_at_once_are_all_counted(store, migrated, device):
    migrated(wrong=("root", "wrong", {"routers": 9}), right=("admin", "right", {"routers": 1}))
    device.passwords["admin"] = "right"
    threads = [threading.Thread(target=log_in, args=(store, TAGS, device.port)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters(store)["right"] == (8, 2) and counters(store)["wrong/routers"] == (1, 4)


@pytest.mark.usefixtures("own")
def test_a_legacy_store_is_migrated_and_its_credentials_log_in(tmp_path, database, make_store, device):
    lab = make_lab(tmp_path, database, "setup_plain")
    flow(lab).load()
    store = make_store(TARGET_KEY)
    tags = {tag.name: tag.id for tag in store.list_tags()}
    device_tags = [tags["Routers"], tags["Switches"]]
    ordered = store.get_credentials_for_tags(device_tags)
    (backup,) = [one for one in ordered if one.username == "backup"]
    tried = ordered[: ordered.index(backup) + 1]
    before = counters(store)
    # As the store's file has it, which the migration alone has opened and sealed.
    (password,) = {row["password"] for row in lab.store.expected["credentials"] if row["id"] == backup.id}
    device.passwords["backup"] = password
    assert log_in(store, device_tags, device.port) == (backup.id, "version of the device")
    assert device.tried == [one.username for one in tried]
    assert len(tried) > 1
    after = counters(store)
    moved = {row_id: (after[row_id][0] - won, after[row_id][1] - lost) for row_id, (won, lost) in before.items()}
    assert {row_id for row_id, change in moved.items() if change == (1, 0)} >= {backup.id}
    assert {row_id for row_id, change in moved.items() if change == (0, 1)} >= {one.id for one in tried[:-1]}
    assert sum(won for won, _ in moved.values()) == 2
    assert sum(lost for _, lost in moved.values()) == 2 * len(tried[:-1])
    assert flow(lab).red() == {}
