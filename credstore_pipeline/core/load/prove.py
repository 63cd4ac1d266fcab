"""Reads back what the transaction wrote, opens it, and compares it with what was meant."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.errors import ProofFailed
from credstore_pipeline.core.load.columns import FINGERPRINT_BYTES, fingerprinted
from credstore_pipeline.core.load.meaning import Meaning, Packed
from credstore_pipeline.core.load.reading import qualified, read_rows
from credstore_pipeline.core.load.write import Written

Mask = npt.NDArray[np.bool_]

ROLLED_BACK = "The transaction is rolled back; the target is as it was."
REPORT_IT = "This is a fault of the pipeline or of the server: report it with this message; nothing needs mending."
SHOWN = 5


def prove_written(
    connection: Connection,
    schema: str,
    written: Mapping[str, Written],
    meaning: Meaning,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Compare every written row, column by column, with the fingerprint taken when it was sealed.

    Args:
        connection: The transaction that wrote.
        schema: The application's schema.
        written: Table -> what was written to it; at least one.
        meaning: Makes the fingerprints.
        progress: Called with the passwords opened so far.

    Returns:
        Rows read back.

    Raises:
        ProofFailed: If a row is missing, invented, differs in a column, or does not open.
    """
    with ExitStack() as opening:
        # Passwords are opened while the other tables are read.
        tables = sorted(written, key=lambda table: table != "credentials")
        begun = [_begin(connection, schema, written[table], meaning, opening) for table in tables]
        return sum(compare(progress) for compare in reversed(begun))


def _begin(
    connection: Connection, schema: str, written: Written, meaning: Meaning, opening: ExitStack
) -> Callable[[Callable[[int], None] | None], int]:
    table = written.table
    clause = "" if written.whole else f"JOIN pg_temp.written_{table} w ON w.id = t.id"
    stored = read_rows(connection, schema, table, clause)
    if written.ids is None or written.packed is None:
        raise ProofFailed(f"{schema}.{table}", "nothing says what was written", state=ROLLED_BACK, todo=REPORT_IT)
    if stored.num_rows != len(written.ids):
        raise _failed(schema, table, f"{len(written.ids)} rows were written, {stored.num_rows} are there")
    order = pc.index_in(stored["id"], written.ids)
    if order.null_count:
        raise _failed(schema, table, f"{order.null_count} rows were never meant to be there")
    meant = written.packed[order.to_numpy(zero_copy_only=False)]
    if written.ours is None:
        found = opening.enter_context(meaning.opening(table, stored, only_primary=True))
        return lambda progress: _compare(schema, table, stored, meant, *found(progress), only_primary=True)
    # A password that the application wrote, in a row of which we wrote something else, stays in its form.
    ours = np.asarray(pc.is_in(stored["id"], value_set=written.ours).to_numpy(), dtype=bool)
    found = opening.enter_context(meaning.opening(table, stored.filter(ours), only_primary=True))

    def both(progress: Callable[[int], None] | None) -> int:
        done = _compare(schema, table, stored.filter(ours), meant[ours], *found(progress), only_primary=True)
        theirs = stored.filter(~ours)
        read = meaning.of_stored(table, theirs, only_primary=False)
        return done + _compare(schema, table, theirs, meant[~ours], *read, only_primary=False)

    return both


def _compare(
    schema: str, table: str, stored: pa.Table, meant: Packed, found: Packed, opened: Mask, *, only_primary: bool
) -> int:
    if only_primary and not opened.all():
        raise _failed(schema, table, f"passwords of {_named(stored, ~opened)} do not open under the primary Fernet key")
    if (found != meant).any():
        differing = (found != meant).any(axis=1)
        raise _failed(schema, table, f"{_named(stored, differing)} differ in {_columns(table, found, meant)}")
    return int(stored.num_rows)


def prove_parents(connection: Connection, schema: str, written: Written) -> None:
    """Every association that this load wrote has its credential and its tag, foreign key or not.

    Raises:
        ProofFailed: With the number of associations that have not.
    """
    links = qualified(schema, "credential_tags")
    ours = "" if written.whole else "JOIN pg_temp.written_credential_tags w ON w.id = l.id "
    for parent, column in (("credentials", "credential_id"), ("tags", "tag_id")):
        orphans = connection.exec_driver_sql(
            f"SELECT count(*) FROM {links} l {ours}"
            f"WHERE NOT EXISTS (SELECT FROM {qualified(schema, parent)} p WHERE p.id = l.{column})"
        ).scalar_one()
        if orphans:
            raise _failed(schema, "credential_tags", f"{orphans} rows point to {parent} that do not exist")


def _failed(schema: str, table: str, wrong: str) -> ProofFailed:
    return ProofFailed(f"{schema}.{table}", wrong, state=ROLLED_BACK, todo=REPORT_IT)


def _named(stored: pa.Table, mask: Mask) -> str:
    ids = stored["id"].filter(pa.array(mask))
    listed = ", ".join(ids.slice(0, SHOWN).to_pylist())
    return f"{len(ids)} rows (id {listed}{', …' if len(ids) > SHOWN else ''})"


def _columns(table: str, found: Packed, meant: Packed) -> str:
    names = fingerprinted(table)
    differing = (found != meant).reshape(len(found), len(names), FINGERPRINT_BYTES).any(axis=(0, 2))
    return ", ".join(name for name, differs in zip(names, differing, strict=True) if differs)
