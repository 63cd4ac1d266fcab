"""What is done once PostgreSQL answers: tables first, then what stands in them."""

from collections.abc import Callable

from credstore_pipeline.core.seeding.plan import Seeding
from credstore_pipeline.core.seeding.seed import prepare_tables, seed_credentials, seed_tags
from credstore_pipeline.core.target.indexes import add_indexes


def prepare_and_seed(seeding: Seeding, run_id: str, say: Callable[[str], None], *, indexes: bool = False) -> None:
    """Make the tables that are missing and seed; each of the three is a transaction, and may be repeated.

    Args:
        seeding: Into what, and what.
        run_id: Names this program's run in the target.
        say: Told what was done.
        indexes: Whether to build the optional indexes; their table's owner alone may.

    Raises:
        CredstoreError: Whatever the target refuses.
    """
    made = prepare_tables(seeding, run_id)
    say(_tables(made))
    if indexes:
        _build_indexes(seeding, run_id, say)
    if seeding.asked is False:
        say("seeds: not asked for (CREDSTORE_SEED=false)")
        return
    say(f"default tags: {seed_tags(seeding, run_id).text}")
    say(f"default credentials: {seed_credentials(seeding, run_id).text}")


def _build_indexes(seeding: Seeding, run_id: str, say: Callable[[str], None]) -> None:
    built = add_indexes(seeding.target, run_id)
    say(f"indexes: built {', '.join(built)}" if built else "indexes: all there")


def _tables(made: frozenset[str]) -> str:
    return f"tables: made {', '.join(sorted(made))}" if made else "tables: all there"
