"""From a URL, or the application's POSTGRES_ variables, to the store's one engine."""

import os
import weakref
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from credstore_pipeline.core.errors import SettingsError
from credstore_pipeline.core.target.connect import DRIVER
from credstore_pipeline.settings_files import read_secret_files
from credstore_pipeline.store.settings import StoreSettings

DEFAULTS = {"HOST": "postgres", "PORT": "5432", "DB": "netraven", "USER": "netraven", "PASSWORD": "netraven"}
"""What the application takes for each POSTGRES_ variable that is not set."""

MODEL_SCHEMA = "public"
"""The schema that the models name; another one is put in its place by the engine."""

CRASH_MARK = "crash_mark"
"""Key in a connection's info: when the server last lost its statistics, which it does when it crashes."""

DEAD_PEER_MS = 30_000

_engines: "weakref.WeakSet[sa.Engine]" = weakref.WeakSet()

_ASK_CRASH_MARK = "SELECT stats_reset::text FROM pg_catalog.pg_stat_bgwriter"


def store_url(db_url: str | URL | None, environ: Mapping[str, str] = os.environ) -> URL:
    """Return where the store is, as `postgresql+psycopg2://…`.

    Args:
        db_url: Any `postgresql://` URL; without one the application's POSTGRES_HOST, _PORT, _DB, _USER and
            _PASSWORD (or POSTGRES_PASSWORD_FILE) count, each with the application's default.
        environ: The environment.

    Raises:
        SettingsError: If it is no URL of a PostgreSQL database; never shows it.
    """
    if db_url is not None:
        return _checked(db_url)
    secrets, faults = read_secret_files(["POSTGRES_PASSWORD"], environ)
    given = {name: environ.get(f"POSTGRES_{name}") or default for name, default in DEFAULTS.items()}
    if not given["PORT"].isdecimal() or not 0 < int(given["PORT"]) < 65536:
        faults["POSTGRES_PORT"] = "it is no port number"
    if faults:
        raise _refused("; ".join(f"{name}: {wrong}" for name, wrong in sorted(faults.items())))
    return URL.create(
        DRIVER,
        username=given["USER"],
        password=secrets.get("POSTGRES_PASSWORD", given["PASSWORD"]),
        host=given["HOST"],
        port=int(given["PORT"]),
        database=given["DB"],
    )


def make_store_engine(url: URL, schema: str, settings: StoreSettings) -> sa.Engine:
    """Make the engine with its pool; connects to nothing yet. A forked child gets connections of its own.

    Args:
        url: From `store_url`.
        schema: Where the application's tables are.
        settings: Pool and timeouts.
    """
    options = url.query.get("options", "")
    # The level is the session's own, so that a transaction begins without a word about it.
    level = r"-c default_transaction_isolation=read\ committed"
    own = f"-c statement_timeout={int(settings.statement_timeout_s * 1000)} {level}"
    engine = sa.create_engine(
        url.difference_update_query(["options"]),
        hide_parameters=True,
        # A single SELECT is a transaction of its own: nothing to begin, nothing to end.
        isolation_level="AUTOCOMMIT",
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout=settings.pool_timeout_s,
        # Sessions end their transactions themselves; a lost connection would fill the log with its failed reset.
        pool_reset_on_return=None,
        # The last connection first: those that nobody needs any more are left alone.
        pool_use_lifo=True,
        execution_options={} if schema == MODEL_SCHEMA else {"schema_translate_map": {MODEL_SCHEMA: schema}},
        connect_args={
            "application_name": settings.application_name,
            "connect_timeout": settings.connect_timeout_s,
            "client_encoding": "UTF8",
            "tcp_user_timeout": DEAD_PEER_MS,
            "options": " ".join([*([options] if isinstance(options, str) else options), own]).strip(),
        },
    )
    sa.event.listen(engine, "connect", _note_crash_mark)
    sa.event.listen(engine, "checkin", _end_writing)
    _engines.add(engine)
    return engine


def _note_crash_mark(connection: Any, record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ASK_CRASH_MARK)
        record.info[CRASH_MARK] = cursor.fetchone()[0]
    connection.rollback()


def begin_writing(session: Session) -> sa.Connection:
    """Let what follows on the session's connection be one transaction, and return that connection.

    By the driver's own switch: SQLAlchemy's isolation levels cost a question to the server at each change.
    """
    connection = session.connection()
    driver: Any = connection.connection.dbapi_connection
    # The driver would go on with the level of a snapshot that was read on this connection before.
    driver.set_session(isolation_level="DEFAULT", autocommit=False)
    return connection


def _end_writing(driver: Any, record: Any) -> None:
    if driver is not None and not driver.closed:
        driver.autocommit = True


def _leave_to_parent() -> None:
    # Parent and child would speak over one socket.
    for engine in list(_engines):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_to_parent)


def _checked(db_url: str | URL) -> URL:
    url = _parsed(db_url)
    if url is None:
        raise _refused("it is no URL")
    if url.drivername not in ("postgresql", "postgres", DRIVER) or not url.database:
        raise _refused("it names no PostgreSQL database")
    # A bare postgresql:// would be taken for another driver by SQLAlchemy 2.1.
    return url.set(drivername=DRIVER)


def _parsed(db_url: str | URL) -> URL | None:
    try:
        return make_url(db_url)
    except (ArgumentError, ValueError):
        return None


def _refused(wrong: str) -> SettingsError:
    return SettingsError(
        "credential store's database",
        wrong,
        state="Nothing was read or written.",
        todo="Write postgresql://user:password@host:port/database, or set the POSTGRES_ variables.",
    )
