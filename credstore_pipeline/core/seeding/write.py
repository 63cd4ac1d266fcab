"""The statements of seeding: sets, never a statement a row, and each set read back."""

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from credstore_pipeline.core.errors import ProofFailed, TransientTargetError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.secrets.opening import peel_primary
from credstore_pipeline.core.secrets.sealing import seal
from credstore_pipeline.core.seeding.plan import DEFAULT_TAGS, SeedCredential, SeedTag
from credstore_pipeline.core.target.models import application_tables, tables_by_name
from credstore_pipeline.core.target.sync_models import seeded as seeded_table

_NOW: sa.ColumnElement[Any] = sa.literal_column("now() AT TIME ZONE 'UTC'")
"""The application's times: UTC, without a zone."""


def put_tags(connection: Connection, schema: str, tags: Sequence[SeedTag], run_id: str) -> tuple[int, int, int]:
    """Make the tags that are neither there nor were.

    Returns:
        How many this run made, how many others are there, how many were deleted since they were seeded.
    """
    table = tables_by_name(application_tables(schema))["tags"]
    known = _known(connection, "tag")
    ids = {str(name): str(row_id) for row_id, name in connection.execute(sa.select(table.c.id, table.c.name))}
    # The application relies on its own tag by its id, whatever an operator called it.
    ids |= {tag.name: tag.tag_id for tag in tags if tag.tag_id in ids.values() and tag.tag_id and tag.name not in ids}
    missing = [tag for tag in tags if tag.name not in known and tag.name not in ids]
    rows = [
        {
            "id": tag.tag_id or str(uuid.uuid4()),
            "name": tag.name,
            "description": tag.description,
            "color": tag.color,
        }
        for tag in missing
    ]
    if rows:
        _insert(connection, table, [{**row, "created_at": _NOW, "updated_at": _NOW} for row in rows])
        columns = [table.c[name] for name in rows[0]]
        written = connection.execute(sa.select(*columns).where(table.c.id.in_([row["id"] for row in rows])))
        if sorted(tuple(row) for row in written) != sorted(tuple(row.values()) for row in rows):
            raise _altered(schema, "tags")
    made = {str(row["name"]): str(row["id"]) for row in rows}
    found = {tag.name: ids[tag.name] for tag in tags if tag.name in ids and tag.name not in known}
    _remember(connection, "tag", "made", made, run_id)
    _remember(connection, "tag", "found", found, run_id)
    by_this_run = {name for name, one in _known(connection, "tag").items() if one == ("made", run_id)}
    remembered = sa.select(seeded_table.c.name).where(
        seeded_table.c.kind == "tag", seeded_table.c.row_id.in_(sa.select(table.c.id))
    )
    present = {*connection.execute(remembered).scalars(), *ids}
    others = sum(tag.name in present and tag.name not in by_this_run for tag in tags)
    return len(by_this_run), others, len(tags) - len(by_this_run) - others


def count_credentials(connection: Connection, schema: str, *, but_of_run: str) -> int:
    """Count the store's credentials, without those that this very run has made."""
    table = tables_by_name(application_tables(schema))["credentials"]
    own = sa.select(seeded_table.c.row_id).where(
        seeded_table.c.kind == "credential", seeded_table.c.first_run == but_of_run
    )
    return int(
        connection.execute(sa.select(sa.func.count()).select_from(table).where(table.c.id.not_in(own))).scalar_one()
    )


def seeded_tags(connection: Connection, schema: str) -> list[str]:
    """Return the ids of the default tags that are there, under whatever name an operator gave them."""
    table = tables_by_name(application_tables(schema))["tags"]
    names = [tag.name for tag in DEFAULT_TAGS]
    remembered = sa.select(seeded_table.c.row_id).where(seeded_table.c.kind == "tag", seeded_table.c.name.in_(names))
    return list(connection.execute(sa.select(table.c.id).where(table.c.id.in_(remembered)).order_by("id")).scalars())


def put_credentials(
    connection: Connection,
    schema: str,
    credentials: Sequence[SeedCredential],
    tags: Sequence[str],
    ring: KeyRing,
    run_id: str,
) -> tuple[int, int, int]:
    """Make the credentials that were never seeded, sealed under the ring's primary key, on each tag.

    Returns:
        How many credentials and how many associations this run made, and how many credentials were deleted since
        they were seeded.
    """
    tables = tables_by_name(application_tables(schema))
    known = _known(connection, "credential")
    missing = [(str(uuid.uuid4()), one) for one in credentials if one.name not in known]
    statistics = {"success_count": 0, "failure_count": 0, "created_at": _NOW, "updated_at": _NOW}
    if missing:
        rows = [
            {
                "id": row_id,
                "name": one.name,
                "description": one.description,
                "username": one.username,
                "password": seal(one.password.encode(), ring),
                "use_keys": False,
            }
            for row_id, one in missing
        ]
        _insert(connection, tables["credentials"], [{**row, **statistics} for row in rows])
        _remember(connection, "credential", "made", {one.name: row_id for row_id, one in missing}, run_id)
    links = [
        {"id": str(uuid.uuid4()), "credential_id": row_id, "tag_id": tag_id, "priority": one.priority}
        for row_id, one in missing
        for tag_id in tags
    ]
    if links:
        _insert(connection, tables["credential_tags"], [{**link, **statistics} for link in links])
    _prove(connection, tables, missing, links, ring)
    made = sum(one == ("made", run_id) for one in _known(connection, "credential").values())
    return made, made * len(tags), len(credentials) - made


def _prove(
    connection: Connection,
    tables: dict[str, sa.Table],
    missing: list[tuple[str, SeedCredential]],
    links: list[dict[str, object]],
    ring: KeyRing,
) -> None:
    credentials, associations = tables["credentials"].c, tables["credential_tags"].c
    ids = [row_id for row_id, _ in missing]
    meant = {row_id: (one.name, one.username, one.password.encode()) for row_id, one in missing}
    found: dict[str, tuple[str, str, bytes | None]] = {}
    query = sa.select(credentials.id, credentials.name, credentials.username, credentials.password)
    for row_id, name, username, stored in connection.execute(query.where(credentials.id.in_(ids))):
        found[row_id] = (name, username, peel_primary((stored or "").encode(), ring).plaintext)
    schema = str(tables["credentials"].schema)
    if found != meant:
        raise _altered(schema, "credentials")
    pairs = sa.select(associations.id, associations.credential_id, associations.tag_id, associations.priority)
    written = connection.execute(pairs.where(associations.credential_id.in_(ids)))
    if sorted(tuple(row) for row in written) != sorted(tuple(link.values()) for link in links):
        raise _altered(schema, "credential_tags")


def _altered(schema: str, table: str) -> ProofFailed:
    return ProofFailed(
        f"{schema}.{table}",
        "what was read back is not what was written; everything is rolled back",
        todo="Is there a trigger or a rule on the table that changes rows?",
    )


def _insert(connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    written = connection.execute(insert(table).values(rows).on_conflict_do_nothing()).rowcount
    if written != len(rows):
        raise TransientTargetError(
            f"{table.schema}.{table.name}",
            f"{len(rows) - written} rows of the same name or id appeared meanwhile",
            todo="Run it again: it reads the target anew.",
        )


def _known(connection: Connection, kind: str) -> dict[str, tuple[str, str]]:
    """Return name -> how it was settled, by which run."""
    columns = (seeded_table.c.name, seeded_table.c.how, seeded_table.c.first_run)
    query = sa.select(*columns).where(seeded_table.c.kind == kind)
    return {name: (how, run) for name, how, run in connection.execute(query)}


def _remember(connection: Connection, kind: str, how: str, rows: dict[str, str], run_id: str) -> None:
    if rows:
        told = {"kind": kind, "how": how, "first_run": run_id, "seeded_at": sa.func.now()}
        values = [{**told, "name": name, "row_id": row_id} for name, row_id in rows.items()]
        connection.execute(sa.insert(seeded_table).values(values))
