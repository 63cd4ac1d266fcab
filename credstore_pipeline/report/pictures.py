"""Pictures for the report and for Dagster's UI: counts, seconds and dates only."""

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from PIL import Image

from credstore_pipeline.report.colours import MARKS, ON_WHITE, as_variables

WIDTH_IN = 7.2
ROW_IN = 0.3
LABEL_CHARACTERS = 44
WHOLE_FROM = 6
"""An axis that goes farther is divided by whole numbers."""

PALETTE = 24
"""Colours of a picture that stands alone."""

SERIES = ("first", "second", "third")

STYLE: dict[str, Any] = {
    # Text stays text: it can be read aloud, searched and copied.
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    # A name with dollar signs is no formula.
    "text.parse_math": False,
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
}

Colours = Mapping[str, str]
Picture = Callable[[Colours], Figure]


def bars(labels: Sequence[str], series: Mapping[str, Sequence[float]], unit: str) -> Picture:
    """Draw one horizontal bar for each label and series, the first label on top, with its number beside it.

    Args:
        labels: What is counted.
        series: Name -> one number a label; up to three series.
        unit: What the numbers count, under the axis.
    """

    def draw(colours: Colours) -> Figure:
        count, thick = len(labels), 0.8 / len(series)
        figure = Figure(figsize=(WIDTH_IN, 0.9 + ROW_IN * count * max(1.0, 0.7 * len(series))), layout="constrained")
        axes = figure.subplots()
        for place, (name, values) in enumerate(series.items()):
            at = [row + (place - (len(series) - 1) / 2) * thick for row in range(count)]
            drawn = axes.barh(at, values, height=thick * 0.9, color=colours[SERIES[place]], label=name)
            axes.bar_label(drawn, [_number(value) for value in values], padding=3, color=colours["ink"], fontsize=8)
        axes.set_yticks(range(count), [_short(label) for label in labels])
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_xlim(0, max([max(values, default=0) for values in series.values()] + [0]) * 1.12 or 1)
        _finish(figure, axes, unit, len(series) > 1, colours)
        return figure

    return draw


def course(when: Sequence[str], series: Mapping[str, Sequence[float]], unit: str) -> Picture:
    """Draw how numbers went from run to run; `when` labels the runs, the oldest first."""

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(WIDTH_IN, 2.4), layout="constrained")
        axes = figure.subplots()
        for place, (name, values) in enumerate(series.items()):
            # Told apart without colour too.
            style, marker = ("-", "--", ":")[place], ("o", "s", "^")[place]
            axes.plot(values, style, marker=marker, markersize=4, color=colours[SERIES[place]], label=name)
        step = max(1, len(when) // 6)
        axes.set_xticks(range(0, len(when), step), when[::step])
        axes.set_ylim(bottom=0)
        axes.grid(visible=False, axis="x")
        _finish(figure, axes, "", True, colours)
        axes.set_ylabel(unit, color=colours["soft"])
        return figure

    return draw


def as_svg(picture: Picture, name: str) -> str:
    """The picture as SVG to stand inside a page, coloured by the page's variables; `name` keeps its ids apart."""
    with matplotlib.rc_context(STYLE):
        buffer = io.StringIO()
        picture(MARKS).savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', _opened, svg, count=1, flags=re.DOTALL)
    return as_variables(svg).strip()


def as_markdown(picture: Picture, says: str) -> str:
    """The picture as Markdown that the UI shows, with the text for those who do not see it."""
    with matplotlib.rc_context(STYLE):
        drawn = io.BytesIO()
        picture(ON_WHITE).savefig(drawn, format="png", dpi=100, facecolor="white")
    buffer = io.BytesIO()
    # A tenth of the size: the event log keeps one for each run.
    Image.open(drawn).convert("RGB").quantize(PALETTE).save(buffer, format="png", optimize=True)
    return f"![{says}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def _opened(found: re.Match[str]) -> str:
    # Beside each picture stand its numbers as a table, so it is left out when the page is read aloud.
    return (
        f'<svg viewBox="{found[1]}" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'aria-hidden="true" focusable="false">'
    )


def _finish(figure: Figure, axes: Axes, unit: str, legend: bool, colours: Colours) -> None:
    axes.tick_params(colors=colours["ink"], length=0)
    axes.spines["bottom"].set_color(colours["line"])
    axes.grid(axis="x" if unit else "y", color=colours["line"], linewidth=0.6)
    axes.set_xlabel(unit, color=colours["soft"])
    if unit:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=axes.get_xlim()[1] > WHOLE_FROM))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    if legend:
        figure.legend(loc="outside upper left", ncols=3, frameon=False, labelcolor=colours["ink"])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _short(label: str) -> str:
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"
