"""Pictures, totals and the outcome for the UI, drawn when a run has something to show."""

import dagster as dg

from credstore_pipeline.core.report import RunReport

# The drawing library is imported where it is used: it takes as long to import as a small store to migrate.


def picture_of_census(report: RunReport) -> str:
    """The census as bars, as Markdown that the UI shows."""
    from credstore_pipeline.report.drawn import census_picture
    from credstore_pipeline.report.pictures import as_markdown
    from credstore_pipeline.report.sections import before
    from credstore_pipeline.report.told import Told

    rows = before(Told(report.run_id, tuple(report.parts())))
    return as_markdown(census_picture(rows), "How passwords are stored") if rows else "There are no credentials."


def outcome_of_run(report: RunReport) -> str:
    """The run in one sentence."""
    from credstore_pipeline.report.outcome import outcome
    from credstore_pipeline.report.told import Told

    return outcome(Told(report.run_id, tuple(report.parts()))).sentence


def pictures_of_run(report: RunReport) -> dict[str, dg.MetadataValue | int | float]:
    """Source against target, time by stage, drift from run to run; with the totals that people compare."""
    from credstore_pipeline.report import drawn
    from credstore_pipeline.report.history import history
    from credstore_pipeline.report.pictures import as_markdown
    from credstore_pipeline.report.sections import both_sides, seconds
    from credstore_pipeline.report.told import Told

    told = Told(report.run_id, tuple(report.parts()))
    runs, sides, stages = history(report.folder.parent), both_sides(told), seconds(told)
    total = sum(stage["seconds"] for stage in stages)
    rows = sum(int(side["SQLite"]) for side in sides)
    found: dict[str, dg.MetadataValue | int | float] = {
        "seconds": round(total, 3),
        "rows_per_s": round(rows / max(total, 0.001), 1),
        "time_by_stage": dg.MetadataValue.md(as_markdown(drawn.timing_picture(stages), "Time by stage")),
    }
    if sides:
        picture = as_markdown(drawn.sides_picture(sides), "SQLite beside PostgreSQL")
        found["source_and_target"] = dg.MetadataValue.md(picture)
    if runs:
        found |= {name.replace(" ", "_"): number for name, number in runs[-1].items() if name != "ended"}
        found["drift"] = dg.MetadataValue.md(as_markdown(drawn.drift_picture(runs), "Drift from run to run"))
    return found
