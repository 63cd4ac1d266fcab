"""The window by command: conflicts settled, cut over, rolled back, quarantine replayed; what is refused, and how."""

import json
import sqlite3

import pytest

from credstore_pipeline.cli.codes import Exit
from credstore_pipeline_tests.cli.test_cli import call
from credstore_pipeline_tests.lab import ALLOW_ALL

pytestmark = pytest.mark.ci


def asked(lab, *command, **settings):
    """Exit code and the one JSON document of a command."""
    ended = call(lab, *command, "--json", **settings)
    return ended.exit_code, json.loads(ended.stdout)


def refused(lab, *command, **settings):
    """Why a command was refused, as it says itself; 1 is its exit code with and without `--json`."""
    code, told = asked(lab, *command, **settings)
    assert (code, told["success"]) == (Exit.RED, False), told
    return " ".join(told["failures"])


def write(lab, statement):
    with sqlite3.connect(lab.store.path) as store:
        store.execute(statement)
    store.close()


def test_a_conflict_is_settled_and_the_window_ended_and_rolled_back_by_command(lab, tmp_path):
    at = lab("web")
    path = str(at.store.path)
    assert "nothing was loaded yet" in refused(at, "cutover", "--confirm", path)
    assert "nothing was loaded yet" in refused(at, "rollback")
    assert "nothing was loaded yet" in refused(at, "quarantine", "replay")
    assert asked(at, "migrate")[0] == Exit.DONE

    at.sql("UPDATE credentials SET description = 'theirs' WHERE id = (SELECT min(id) FROM credentials)")
    write(at, "UPDATE credentials SET description = 'ours' WHERE id = (SELECT min(id) FROM credentials)")
    assert asked(at, "migrate")[0] == Exit.DONE
    _, (waiting,) = asked(at, "conflicts", "list")
    assert (waiting["source_table"], waiting["column_name"]) == ("credentials", "description")
    assert "conflict" in refused(at, "cutover", "--confirm", path)
    assert "name no conflict that waits (999)" in refused(at, "conflicts", "resolve", "999=source")
    number = f"{waiting['conflict_id']}=source"
    code, told = asked(at, "conflicts", "resolve", number)
    assert (code, told["figures"]["settled_for_source"]) == (Exit.DONE, 1)
    assert at.sql("SELECT description FROM credentials ORDER BY id LIMIT 1") == [("ours",)]
    assert "name no conflict that waits" in refused(at, "conflicts", "resolve", number)
    assert asked(at, "conflicts", "list") == (Exit.DONE, [])

    assert asked(at, "verify")[0] == Exit.DONE
    wrong = call(at, "cutover", "--confirm", f"{path}x")
    assert wrong.exit_code == Exit.RED
    assert "is not the store's path" in wrong.stdout
    assert call(at, "cutover").exit_code == Exit.USAGE
    code, told = asked(at, "cutover", "--confirm", path)
    assert (code, told["outcome"]) == (Exit.DONE, "done")
    assert told["figures"]["proofs"] == 8
    assert "cut over" in asked(at, "status")[1]["window"]
    with pytest.raises(sqlite3.DatabaseError, match="cut over"):
        write(at, "UPDATE credentials SET description = 'late'")
    assert "cut over" in refused(at, "migrate")

    file = tmp_path / "back.db"
    code, told = asked(at, "rollback", "--to", str(file))
    assert (code, told["figures"]["path"]) == (Exit.DONE, str(file))
    assert "is taken" in refused(at, "rollback", "--to", str(file))
    assert call(at, "rollback", "--flavour", "another").exit_code == Exit.USAGE
    shown = call(at, "rollback", "--swap")
    assert shown.exit_code == Exit.DONE, shown.output
    assert "It is in place" in shown.stdout
    assert "Both stores are live" in asked(at, "status")[1]["window"]
    code, told = asked(at, "migrate")
    assert (code, told["outcome"]) == (Exit.DONE, "migrated and proven")


def test_quarantined_rows_are_replayed_by_command_when_their_key_is_found(lab):
    at = lab("source_keys")
    without = {"CREDSTORE_SOURCE_KEYS": "[]", **ALLOW_ALL}
    assert asked(at, "migrate", **without)[0] == Exit.DONE
    held = len(asked(at, "quarantine", "list", **without)[1])
    assert held
    code, told = asked(at, "quarantine", "replay", **ALLOW_ALL)
    assert code == Exit.DONE, told
    left = len(asked(at, "quarantine", "list", **ALLOW_ALL)[1])
    assert 0 < told["figures"]["resolved"] == held - left
