"""Colours of pictures: told to the plotting library as marks, and put in as variables of the page or as fixed ones."""

MARKS = {
    "ink": "#010203",
    "soft": "#010204",
    "line": "#010205",
    "first": "#010206",
    "second": "#010207",
    "third": "#010208",
}
"""Role -> the colour that the drawing library is told."""

ON_WHITE = {
    "ink": "#1c2430",
    "soft": "#4a5566",
    "line": "#c9d0d9",
    "first": "#2563a8",
    "second": "#2e7d5b",
    "third": "#b4532a",
}
"""Role -> a colour with enough contrast on white; for pictures that stand alone."""


def as_variables(svg: str) -> str:
    """The picture takes its colours from the page: light or dark, or ink on paper."""
    for role, mark in MARKS.items():
        svg = svg.replace(mark, f"var(--{role})")
    return svg
