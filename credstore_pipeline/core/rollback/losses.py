"""What a flavour cannot hold, found by reading the new file back, and refused unless it is named."""

from collections.abc import Collection
from dataclasses import dataclass

from credstore_pipeline.core.errors import Refused

SHOWN = 5


@dataclass(frozen=True)
class Loss:
    """Rows or values of the target that are not in the new file.

    Attributes:
        name: What `allow_loss` has to name.
        why: Why not.
        ids: Of the rows.
    """

    name: str
    why: str
    ids: tuple[str, ...]

    @property
    def told(self) -> str:
        """One line."""
        more = ", …" if len(self.ids) > SHOWN else ""
        return f"{self.name}: {len(self.ids)} rows, {self.why} (id {', '.join(self.ids[:SHOWN])}{more})"


def refuse_losses(losses: Collection[Loss], allowed: Collection[str]) -> list[Loss]:
    """Let pass what was named.

    Returns:
        The losses, all of them allowed.

    Raises:
        Refused: Listing those that were not named.
    """
    refused = [loss for loss in losses if loss.name not in allowed]
    if refused:
        lines = "\n".join(f"  {loss.told}" for loss in refused)
        raise Refused(
            "rollback",
            f"the old store cannot hold everything:\n{lines}\n",
            state="No file was left; both stores are as they were.",
            todo=f"Choose `flavour: orm`, or allow_loss: [{', '.join(sorted({loss.name for loss in refused}))}].",
        )
    return list(losses)
