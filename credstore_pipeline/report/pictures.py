"""Pictures for the report and for Dagster's UI: counts, seconds and dates only."""

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from PIL import Image

from credstore_pipeline.report.colours import MARKS, ON_WHITE, as_variables

WIDTH_IN = 7.2
ROW_IN = 0.3
DPI = 100
EDGE_IN = 0.1
"""What stays empty around a picture."""

WIDER = 1.04
"""What a text may take more on the screen than its font says."""

TICKS_IN, TITLE_IN, LEGEND_IN = 0.2, 0.2, 0.3
"""What the numbers along an axis, its unit and a legend take."""

LABEL_CHARACTERS = 44
WHOLE_FROM = 6
"""An axis that goes farther is divided by whole numbers."""

MOST_DATES = 6
"""Dates that an axis has room for."""

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
        figure = Figure(figsize=(WIDTH_IN, 0.9 + ROW_IN * count * max(1.0, 0.7 * len(series))))
        axes = figure.subplots()
        for place, (name, values) in enumerate(series.items()):
            at = [row + (place - (len(series) - 1) / 2) * thick for row in range(count)]
            drawn = axes.barh(at, values, height=thick * 0.9, color=colours[SERIES[place]], label=name)
            axes.bar_label(drawn, [_number(value) for value in values], padding=3, color=colours["ink"], fontsize=8)
        shown = [_short(label) for label in labels]
        axes.set_yticks(range(count), shown)
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_xlim(0, max([max(values, default=0) for values in series.values()] + [0]) * 1.12 or 1)
        _finish(figure, axes, unit, len(series) > 1, colours)
        _place(figure, left=max(map(_width_in, shown), default=0), below=TITLE_IN, legend=len(series) > 1)
        return figure

    return draw


def course(when: Sequence[str], series: Mapping[str, Sequence[float]], unit: str) -> Picture:
    """Draw how numbers went from run to run; `when` labels the runs, the oldest first."""

    def draw(colours: Colours) -> Figure:
        figure = Figure(figsize=(WIDTH_IN, 2.4))
        axes = figure.subplots()
        for place, (name, values) in enumerate(series.items()):
            # Told apart without colour too.
            style, marker = ("-", "--", ":")[place], ("o", "s", "^")[place]
            axes.plot(values, style, marker=marker, markersize=4, color=colours[SERIES[place]], label=name)
        step = -(-len(when) // MOST_DATES) or 1
        axes.set_xticks(range(0, len(when), step), when[::step])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
        axes.grid(visible=False, axis="x")
        _finish(figure, axes, "", True, colours)
        axes.set_ylabel(unit, color=colours["soft"])
        widest = max((_width_in(_number(value)) for values in series.values() for value in values), default=0)
        _place(figure, left=TITLE_IN + widest + EDGE_IN, below=0, legend=True)
        return figure

    return draw


def as_svg(picture: Picture, name: str) -> str:
    """The picture as SVG to stand inside a page, coloured by the page's variables; `name` keeps its ids apart."""
    with matplotlib.rc_context(STYLE):
        buffer = io.StringIO()
        figure = picture(MARKS)
        figure.patch.set_alpha(0)
        for axes in figure.axes:
            axes.patch.set_alpha(0)
        # Not savefig: it draws each picture twice.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', _opened, svg, count=1, flags=re.DOTALL)
    return as_variables(svg).strip()


def as_markdown(picture: Picture, says: str) -> str:
    """The picture as Markdown that the UI shows, with the text for those who do not see it."""
    with matplotlib.rc_context(STYLE):
        figure = picture(ON_WHITE)
        figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    buffer = io.BytesIO()
    drawn = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    # A tenth of the size: the event log keeps one for each run.
    drawn.convert("RGB").quantize(PALETTE).save(buffer, format="png", optimize=True)
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
        figure.legend(loc="upper left", ncols=3, frameon=False, labelcolor=colours["ink"])


def _place(figure: Figure, *, left: float, below: float, legend: bool) -> None:
    """Give the axes the room that their texts leave, in inches: drawing to measure takes longer than to show."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=(EDGE_IN + left + EDGE_IN) / width,
        right=1 - 2 * EDGE_IN / width,
        bottom=(EDGE_IN + TICKS_IN + below) / height,
        top=1 - (EDGE_IN + (LEGEND_IN if legend else 0)) / height,
    )


def _width_in(text: str) -> float:
    font = FontProperties(family=STYLE["font.family"], size=STYLE["font.size"])
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72 * WIDER


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _short(label: str) -> str:
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"
