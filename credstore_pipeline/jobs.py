"""Jobs: explicit selections of the flow."""

import dagster as dg

from credstore_pipeline.assets.extract import EXTRACTED
from credstore_pipeline.assets.load import POSTGRES
from credstore_pipeline.assets.preflight import CENSUS
from credstore_pipeline.assets.report import REPORT
from credstore_pipeline.assets.snapshot import SNAPSHOT
from credstore_pipeline.assets.validate import QUARANTINE, VALIDATED
from credstore_pipeline.checks import proofs

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
    selection=dg.AssetSelection.checks(proofs),
    description="The final proofs alone, at any time, against the snapshot last loaded. Writes nothing.",
)
