"""Says what a made-up store holds: the content of `expected.json`, taken from the file that was written."""

from pathlib import Path

from credstore_pipeline.demo.files import TABLES, open_copy, read_rows
from credstore_pipeline.demo.maker import Maker, RawText, Row

MUST_STAY_TEXT = frozenset({"id", "credential_id", "tag_id"})


def describe(maker: Maker, path: Path) -> dict[str, object]:
    """Everything a comparison with the target needs; passwords are in it in the clear.

    Values stand as SQLite keeps them. Bytes that are no text are `{"hex": …}`; in an id or a tag's name, which
    readers use as dictionary keys, they are null with the bytes under `<column>_hex`.
    """
    found = {table: read_rows(path, table) for table in TABLES}
    connection = open_copy(path)
    schema = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    connection.close()
    return {
        "store": maker.name,
        "flavour": maker.schema,
        "made_by": maker.made_by,
        "notes": maker.notes,
        "seed": maker.seed,
        "schema_sql": schema,
        "has_table": {table: found[table] is not None for table in ("credentials", "tags", "credential_tags")},
        "credentials": _credentials(maker.rows["credentials"], found["credentials"]),
        "tags": _told(maker.rows["tags"], found["tags"], {"name"}),
        "associations": _told(maker.rows["credential_tags"], found["credential_tags"], set()),
        "order_groups_by_tag": order_groups(found["credential_tags"] or []),
    }


def _credentials(rows: list[Row], found: list[dict[str, object]] | None) -> list[dict[str, object]] | None:
    told = _told(rows, found, set())
    for one in told or []:
        used = one.get("use_keys")
        one["use_keys_bool"] = None if used is None else used not in (0, "")
    return told


def _told(
    rows: list[Row], found: list[dict[str, object]] | None, also_keys: set[str]
) -> list[dict[str, object]] | None:
    if found is None:
        return None
    told = []
    for row, stored in zip(rows, found, strict=True):
        one: dict[str, object] = {}
        for column, value in stored.items():
            name = "stored_password" if column == "password" else column
            plain = value.data if isinstance(value, RawText) else value
            if not isinstance(plain, bytes):
                one[name] = plain
            elif column in MUST_STAY_TEXT | also_keys:
                one |= {name: None, f"{name}_hex": plain.hex()}
            else:
                one[name] = {"hex": plain.hex()}
        told.append(one | row.told)
    return told


def order_groups(links: list[dict[str, object]]) -> dict[str, list[list[object]]]:
    """Per tag: priorities from high to low, and under each the credentials in the order of the file."""
    groups: dict[str, dict[float, list[object]]] = {}
    for link in links:
        tag, priority = link["tag_id"], link["priority"]
        if isinstance(tag, str) and isinstance(priority, int | float):
            groups.setdefault(tag, {}).setdefault(priority, []).append(link["credential_id"])
    return {
        tag: [[priority, found[priority]] for priority in sorted(found, reverse=True)] for tag, found in groups.items()
    }
