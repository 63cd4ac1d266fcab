"""Jobs: explicit selections of the flow."""

import dagster as dg

from credstore_pipeline.assets import seed
from credstore_pipeline.assets.extract import EXTRACTED
from credstore_pipeline.assets.load import POSTGRES
from credstore_pipeline.assets.preflight import CENSUS
from credstore_pipeline.assets.report import REPORT
from credstore_pipeline.assets.snapshot import SNAPSHOT
from credstore_pipeline.assets.validate import QUARANTINE, VALIDATED
from credstore_pipeline.checks import proofs
from credstore_pipeline.late_writes import no_write_after_cutover

READING = [SNAPSHOT, *EXTRACTED.values(), CENSUS]
FLOW = [*READING, *VALIDATED.values(), QUARANTINE, *POSTGRES.values(), REPORT]

migrate = dg.define_asset_job(
    "migrate",
    selection=dg.AssetSelection.assets(*FLOW),
    description="The whole move: snapshot, extract, census, validate, load in one transaction, prove, report. "
    "Running it again takes what is new and writes nothing else.",
)
preflight = dg.define_asset_job(
    "preflight",
    selection=dg.AssetSelection.assets(*READING),
    description="Look before anything is written: how every password is stored, which keys open them, what the target "
    "is. Only reads the target. Red if more passwords stay shut than may be left behind.",
)
verify = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.checks(proofs, no_write_after_cutover),
    description="The final proofs alone, at any time, against the snapshot last loaded. Writes its "
    "outcome alone, which `cutover` asks for.",
)
seed_default_tags = dg.define_asset_job(
    "seed_default_tags",
    selection=dg.AssetSelection.assets(seed.TAGS),
    description="Have the application's default tags there, and those of CREDSTORE_SEED_FILE. Changes none that is "
    "there. Needs no legacy store: the database may be empty.",
)
seed_default_credentials = dg.define_asset_job(
    "seed_default_credentials",
    selection=dg.AssetSelection.assets(seed.TAGS, seed.CREDENTIALS),
    description="As seed_default_tags; then Admin, Backup and Monitor on each default tag, where a password is given "
    "and the store has no credential yet.",
)
resync = dg.define_asset_job(
    "resync",
    selection=dg.AssetSelection.assets(*FLOW),
    description="Take over what changed in the legacy store since the last load. Writes nothing if nothing did.",
)
watch = dg.define_asset_job(
    "watch",
    selection=dg.AssetSelection.checks(no_write_after_cutover),
    description="Look whether somebody wrote to the legacy store after cutover. Writes nothing.",
)
