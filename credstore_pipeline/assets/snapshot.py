"""`sqlite/store` and `backup/snapshot`: the source as it stands, and one proven copy of it."""

import warnings

import dagster as dg

from credstore_pipeline.assets.documented import docs_of
from credstore_pipeline.assets.stage import stage
from credstore_pipeline.assets.tables import as_proofs
from credstore_pipeline.boundary import told
from credstore_pipeline.core.errors import ShapeRefused, SnapshotNotProven
from credstore_pipeline.core.report import Part
from credstore_pipeline.core.source.observe import observe
from credstore_pipeline.core.taking import take
from credstore_pipeline.core.validation.gates import Verdict
from credstore_pipeline.io_manager import SealedParquetIOManager
from credstore_pipeline.resources import Credstore
from credstore_pipeline.retries import SNAPSHOT

SQLITE_STORE = dg.AssetKey(["sqlite", "store"])

_LOADED = dg.AssetKey(["postgres", "credentials"])

CHECKS = {
    "schema_is_known": (
        ShapeRefused.__name__,
        "The file's tables have a shape that a version of the application made, by column name.",
    ),
    "snapshot_matches_source": (
        SnapshotNotProven.__name__,
        "The copy, reopened, passes SQLite's integrity check and has the rows and the keyed digest that were read from "
        "the source in the same transaction.",
    ),
}
"""Check -> the error that makes it red, and its claim."""


def _observe(context: dg.OpExecutionContext, credstore: Credstore) -> dg.DataVersion:
    with told("sqlite/store"):
        digest = observe(credstore.deployment(), credstore.ring())
    context.log.info("sqlite/store: %s", ", ".join(f"{rows} {table}" for table, (rows, _) in digest.tables.items()))
    return dg.DataVersion(digest.value)


with warnings.catch_warnings():
    # The decorator is in beta and says so at every import; it is what gives the UI its Observe button.
    warnings.simplefilter("ignore", dg.BetaWarning)
    sqlite_store = dg.observable_source_asset(
        key=SQLITE_STORE,
        group_name="source",
        description="The legacy store, a SQLite file that the application may be writing to. Never changed by the "
        "pipeline. Its version is a keyed digest of content, so that it moves when a row does and says nothing of it.",
    )(_observe)


@dg.asset(
    key=SNAPSHOT,
    deps=[sqlite_store],
    group_name="source",
    kinds={"sqlite"},
    check_specs=[
        dg.AssetCheckSpec(name, asset=SNAPSHOT, blocking=True, description=text) for name, (_, text) in CHECKS.items()
    ],
)
def backup_snapshot(context: dg.AssetExecutionContext, credstore: Credstore):  # noqa: ANN201
    """One consistent copy of the legacy store, proven by reading it back.

    Made by SQLite's online backup while the source may be in use. The file holds what the source holds: it is
    0600, in a folder of its own outside DAGSTER_HOME. When nothing changed since the last load, that load's
    snapshot is used again and no new one is kept.
    """
    try:
        with stage(context, credstore, "backup/snapshot") as work:
            left = SealedParquetIOManager(credstore=credstore).forget_finished(context.instance, work.run_id)
            # Nothing is left out of what a run shows that loads nothing: the job `preflight`.
            loads = _LOADED in context.job_def.asset_layer.selected_asset_keys
            taken = take(work.deployment, work.ring, work.run_id, whole=not loads)
            credstore.hold(taken.snapshot.lease)
            numbers = taken.numbers
            text = (
                "Nothing changed since the last load; its snapshot is used again."
                if taken.reused
                else f"Snapshot {taken.name} ({taken.flavour}) was read back and equals the source."
            )
            left_in_place = ", ".join(taken.other_tables) or "no other tables"
            verdicts = {
                "schema_is_known": Verdict(True, f"Flavour {taken.flavour}. Left in place: {left_in_place}."),
                "snapshot_matches_source": Verdict(
                    True, f"{numbers['rows']} rows, digest and integrity as read from the source."
                ),
            }
            work.report.add(Part(work.name, "done", text, numbers, {"Gates": as_proofs(verdicts)}))
    except dg.Failure as failure:
        red = [name for name, (error, _) in CHECKS.items() if failure.metadata["kind"].value == error]
        for name in red:
            yield dg.AssetCheckResult(
                passed=False, check_name=name, description=failure.description, metadata=docs_of(name)
            )
        raise
    context.log.info("%s Leftovers of %d finished runs were removed.", text, left)
    context.log_event(
        dg.AssetObservation(
            asset_key=SQLITE_STORE,
            metadata={"rows": numbers["rows"], "flavour": taken.flavour},
            tags={"dagster/data_version": taken.digest},
        )
    )
    yield dg.Output(
        taken.frame,
        metadata={
            **numbers,
            "dagster/row_count": numbers["rows"],
            "rows_per_s": round(numbers["rows"] / max(float(numbers["seconds"]), 0.001), 1),
            "flavour": taken.flavour,
            "left_in_place": left_in_place,
            "snapshot": dg.MetadataValue.text(taken.name),
        },
    )
    for name, verdict in verdicts.items():
        yield dg.AssetCheckResult(
            passed=True, check_name=name, description=verdict.text, metadata={"rows": numbers["rows"], **docs_of(name)}
        )
