"""The whole wiring, in the order of the flow."""

import dagster as dg

from credstore_pipeline import checks, decisions, jobs, late_writes, schedules, sensors
from credstore_pipeline.assets import extract, load, preflight, report, seed, snapshot, validate
from credstore_pipeline.assets.labels import labelled
from credstore_pipeline.io_manager import SealedParquetIOManager
from credstore_pipeline.operations import cutover, keys, rollback, upkeep
from credstore_pipeline.resources import Credstore

credstore = Credstore()

defs = dg.Definitions(
    assets=labelled(
        [
            snapshot.sqlite_store,
            snapshot.backup_snapshot,
            extract.extracted,
            preflight.preflight_census,
            validate.validated,
            load.postgres,
            report.report_migration,
            seed.seed_default_tags,
            seed.seed_default_credentials,
        ]
    ),
    asset_checks=[checks.proofs, late_writes.no_write_after_cutover],
    jobs=[
        jobs.migrate,
        jobs.preflight,
        jobs.verify,
        jobs.resync,
        decisions.resolve_conflicts,
        decisions.replay_quarantine,
        jobs.watch,
        cutover.cutover,
        rollback.rollback_export_job,
        keys.rotate_target_key_job,
        keys.key_retirement_job,
        upkeep.undo_initial_load_job,
        upkeep.restore_job,
        upkeep.purge_job,
        jobs.seed_default_tags,
        jobs.seed_default_credentials,
    ],
    schedules=[schedules.resync_schedule],
    sensors=[sensors.source_changed_sensor, sensors.failed_run_sensor],
    resources={"credstore": credstore, "io_manager": SealedParquetIOManager(credstore=credstore)},
    # One process a run: a process a step would derive the keys and import Dagster anew in each.
    executor=dg.in_process_executor,
)
