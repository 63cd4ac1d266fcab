"""What the report's parts say, by name, as the page asks for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from credstore_pipeline.core.report import Part

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Told:
    """The parts of one run.

    Attributes:
        run_id: Whose.
        parts: In the order in which the stages ended.
    """

    run_id: str
    parts: tuple[Part, ...]

    def part(self, stage: str) -> Part | None:
        """A stage's part, if it came that far."""
        return next((part for part in self.parts if part.stage == stage), None)

    def number(self, stage: str, name: str) -> int | float | None:
        """One figure, if the stage told it."""
        part = self.part(stage)
        return part.numbers.get(name) if part else None

    def total(self, stage: str, names: Iterable[str]) -> int:
        """The sum of those figures that the stage told."""
        return sum(int(self.number(stage, name) or 0) for name in names)

    def table(self, stage: str, title: str) -> Rows:
        """A stage's table; empty if it has none."""
        part = self.part(stage)
        return list(part.tables.get(title, [])) if part else []

    @property
    def left_out(self) -> int:
        """Rows that this run did not look at, since earlier proofs of them stand."""
        return self.total("extracted", ("rows_left_out",))

    @property
    def stopped(self) -> Part | None:
        """The part of the stage that refused or failed, if one did."""
        return next((part for part in self.parts if part.outcome in ("refused", "failed")), None)

    @property
    def began(self) -> str:
        """When the first stage ended."""
        return self.parts[0].at if self.parts else ""
