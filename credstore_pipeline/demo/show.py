"""Small tables for a terminal."""

from collections.abc import Iterable, Mapping, Sequence


def as_columns(rows: Sequence[Mapping[str, object]]) -> str:
    """The rows under their names, aligned; numbers to the right."""
    if not rows:
        return "(nothing)"
    names = list(rows[0])
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(names))]
    right = [all(isinstance(row.get(name), int | float) for row in rows) for name in names]
    return "\n".join(_line(line, widths, right) for line in cells)


def indented(text: str, by: int = 3) -> str:
    """The text, each line moved to the right."""
    return "\n".join(" " * by + line for line in text.splitlines())


def _line(cells: Iterable[str], widths: Iterable[int], right: Iterable[bool]) -> str:
    aligned = (
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    )
    return "  ".join(aligned).rstrip()


def _cell(value: object) -> str:
    return "" if value is None else str(value)
