"""The page: one file, no network, light and dark, readable on paper and aloud."""

import hashlib
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from credstore_pipeline.core.report import RunReport
from credstore_pipeline.report.drawn import census_picture, drift_picture, sides_picture, timing_picture
from credstore_pipeline.report.history import history
from credstore_pipeline.report.outcome import outcome
from credstore_pipeline.report.pictures import Picture, as_svg
from credstore_pipeline.report.promises import promises
from credstore_pipeline.report.sections import after, before, behind, both_sides, keys, seconds
from credstore_pipeline.report.told import Rows, Told
from credstore_pipeline.report.versions import versions


@dataclass(frozen=True)
class Figure:
    """A picture with the table of its numbers.

    Attributes:
        title: Its caption.
        svg: The picture, or nothing if there is nothing to draw.
        rows: The same as a table, with its column names as keys.
        says: One sentence on what is to be seen.
    """

    title: str
    svg: Markup
    rows: Rows
    says: str


def write_page(report: RunReport) -> None:
    """`report.html` stands beside the run's JSON, made from it alone and from earlier runs' reports."""
    told = Told(report.run_id, tuple(report.parts()))
    digest = hashlib.sha256(report.json_path.read_bytes()).hexdigest() if told.parts else ""
    report.write_html(render(told, history(report.folder.parent), digest))


def render(told: Told, earlier: Rows, digest: str) -> str:
    """The whole page; every text of a part is escaped.

    Args:
        told: The run's parts.
        earlier: What each of the last runs carried over, the oldest first.
        digest: SHA-256 of the run's report.json, hexadecimal.
    """
    environment = Environment(
        loader=PackageLoader("credstore_pipeline.report", "."),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _as_text
    environment.filters["moment"] = _as_moment
    return environment.get_template("page.html.j2").render(
        told=told,
        outcome=outcome(told),
        promises=promises(told),
        census=_census(told),
        afterwards=after(told),
        sides=_sides(told),
        behind=behind(told),
        keys=keys(told),
        timing=_timing(told),
        drift=_drift(earlier),
        versions=versions(told),
        digest=digest,
    )


def _figure(title: str, name: str, picture: Picture, rows: Rows, says: str) -> Figure:
    # Made by the plotting library, which escapes its texts.
    return Figure(title, Markup(as_svg(picture, name)) if rows else Markup(""), rows, says)  # noqa: S704


def _census(told: Told) -> Figure:
    rows = before(told)
    total = sum(row["rows"] for row in rows)
    says = f"{total:,} credentials, by how they were sealed."
    return _figure("How passwords were stored in SQLite", "census", census_picture(rows), rows, says)


def _sides(told: Told) -> Figure:
    rows = both_sides(told)
    return _figure(
        "SQLite beside PostgreSQL",
        "sides",
        sides_picture(rows),
        rows,
        "Rows of the snapshot, those of them in PostgreSQL, and those in quarantine. A tag that stands for one of the "
        "same name counts once in SQLite and not again in PostgreSQL.",
    )


def _timing(told: Told) -> Figure:
    rows = seconds(told)
    total = sum(row["seconds"] for row in rows)
    return _figure(
        "Time by stage", "timing", timing_picture(rows), rows, f"{total:,.1f} seconds in all stages together."
    )


def _drift(earlier: Rows) -> Figure:
    return _figure(
        "Drift from run to run",
        "drift",
        drift_picture(earlier),
        earlier,
        "What each of the last runs found PostgreSQL to be behind, what stayed in quarantine, and what waits for a "
        "decision.",
    )


def _as_text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _as_moment(at: str) -> str:
    """An ISO 8601 time in UTC, as people read it."""
    return at.replace("T", " ").replace("+00:00", " UTC")
