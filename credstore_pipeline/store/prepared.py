"""Statements that are planned once a connection: for those that run often, and take longer to plan than to run."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles

from credstore_pipeline.core.errors import TransientTargetError
from credstore_pipeline.store.errors import NOTHING_CHANGED

Statement = sa.Select[*tuple[Any, ...]]

PLAIN = "plain"
"""Key in a connection's info: it forgets what was prepared, as a pooler that changes servers makes it look."""

_FORGOTTEN = ("26000", "42P05")
"""SQLSTATE for a name that the server does not know, and for one that it knows already."""


class Prepared:
    """One statement, run as the server prepared it on the connection; as it is where that cannot be."""

    def __init__(self, make: Callable[..., Statement], names: Sequence[str]) -> None:
        """Hold the statement that `make` builds of so many texts, known to callers by these names."""
        self.plain = make(*(sa.bindparam(name, type_=sa.Text) for name in names))
        self._planned = make(*(sa.literal_column(f"${place}", sa.Text) for place, _ in enumerate(names, 1)))
        self._names = names
        self._runs: dict[str, sa.TextClause] = {}

    def run(self, connection: sa.Connection, values: Mapping[str, str]) -> sa.CursorResult[*tuple[Any, ...]]:
        """Run it with these values.

        Raises:
            TransientTargetError: If the connection turns out to forget; tried again, it runs the plain statement.
        """
        if connection.info.get(PLAIN):
            return connection.execute(self.plain, values)
        try:
            return connection.execute(self._prepared(connection), values)
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) not in _FORGOTTEN:
                raise
        connection.info[PLAIN] = True
        raise TransientTargetError("a prepared statement", "the connection forgets them.", state=NOTHING_CHANGED)

    def _prepared(self, connection: sa.Connection) -> sa.TextClause:
        if self not in connection.info:
            schemas = connection.get_execution_options().get("schema_translate_map")
            # Through a pooler somebody else's statement may have the name: then it is the same one.
            digest = blake2b(f"{schemas} {self._planned}".encode(), digest_size=8).hexdigest()
            name = f"credstore_{digest}"
            connection.execute(_Prepare(name, len(self._names), self._planned))
            connection.info[self] = self._runs.setdefault(
                name, sa.text(f"EXECUTE {name}({', '.join(f':{one}' for one in self._names)})")
            )
        run: sa.TextClause = connection.info[self]
        return run


class _Prepare(sa.sql.Executable, sa.ClauseElement):
    """PREPARE of a statement."""

    inherit_cache = False

    def __init__(self, name: str, texts: int, statement: Statement) -> None:
        self.name, self.texts, self.statement = name, texts, statement


@compiles(_Prepare)
def _prepare(element: _Prepare, compiler: Any, **options: Any) -> str:
    return f"PREPARE {element.name} ({', '.join(['text'] * element.texts)}) AS " + str(
        compiler.process(element.statement, **options)
    )
