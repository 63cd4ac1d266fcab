"""The schema `credstore_sync`: whether it is there, of which version, and how it gets to ours."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.schema import CreateSchema

from credstore_pipeline.core.errors import TargetError
from credstore_pipeline.core.target.connect import quoted
from credstore_pipeline.core.target.sync_models import SCHEMA

_VERSIONS = sa.table("alembic_version", sa.column("version_num", sa.Text), schema=SCHEMA)


def sync_version(connection: sa.Connection) -> str | None:
    """Read the schema's version in the target; None if there is no such schema yet."""
    place = f"{quoted(SCHEMA)}.alembic_version"
    if connection.execute(sa.select(sa.func.to_regclass(place))).scalar() is None:
        return None
    return connection.execute(sa.select(_VERSIONS.c.version_num)).scalar()


def sync_exists(connection: sa.Connection) -> bool:
    """Whether a load was ever committed here."""
    return sync_version(connection) is not None


def require_readable_sync(connection: sa.Connection) -> bool:
    """Let pass a schema of our version, or none; for those who only read.

    Returns:
        Whether it is there.

    Raises:
        TargetError: If it is of another version than ours.
    """
    found = sync_version(connection)
    if found is not None and found != newest_version():
        _refuse_unknown(found)
        raise TargetError(
            f"schema {SCHEMA} of the target",
            f"it is of version {found}, and this pipeline reads version {newest_version()}.",
            todo="Run the job that loads: it brings the schema to its version.",
        )
    return found is not None


def upgrade_sync_schema(connection: sa.Connection) -> None:
    """Create the schema, or bring it to our version, within the connection's transaction.

    Nobody but its owner may see into it. The application's own `alembic_version` is not touched.

    Args:
        connection: The load's, holding its lock.

    Raises:
        TargetError: If the schema is of a newer version than ours.
    """
    found = sync_version(connection)
    if found == newest_version():
        return
    if found is not None:
        _refuse_unknown(found)
    elif not sa.inspect(connection).has_schema(SCHEMA):
        # Asked first: CREATE SCHEMA IF NOT EXISTS needs the right to create even if it has nothing to do.
        connection.execute(CreateSchema(SCHEMA))
        connection.execute(sa.text(f"REVOKE ALL ON SCHEMA {quoted(SCHEMA)} FROM PUBLIC"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def newest_version() -> str:
    """Give the version that this pipeline makes and reads."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _refuse_unknown(found: str) -> None:
    try:
        ScriptDirectory.from_config(_config()).get_revision(found)
    except CommandError:
        raise TargetError(
            f"schema {SCHEMA} of the target",
            f"a newer pipeline made it (version {found}; this one knows up to {newest_version()}).",
            todo="Run that pipeline's version, or a newer one.",
        ) from None


def _config() -> Config:
    config = Config()
    # Interpolation would trip over a % in the path.
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
