"""Work in bulk, as a worker gets it: rows in, columns out."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from credstore_pipeline.core.keys.key import WireKey
from credstore_pipeline.core.secrets.judge import Judge, Judged, Plaintext, Seen

CHUNK_ROWS = 2_000

Task = Literal["judge", "read back", "read back the target's form"]


class Setup(NamedTuple):
    """What a worker is told first. Secret: it goes through the worker's pipe and nowhere else.

    Attributes:
        parent: Process id of the run; the worker ends when that is gone.
        ring: The key ring's wire form.
        fingerprint_key: 32 bytes.
        plaintext: The policy on plaintext rows.
    """

    parent: int
    ring: tuple[WireKey, ...]
    fingerprint_key: bytes
    plaintext: Plaintext

    def __repr__(self) -> str:
        """Show nothing of the keys."""
        return "Setup()"


class Chunk(NamedTuple):
    """Rows to be worked on.

    Attributes:
        task: What to do with them.
        ids: Row ids.
        stored: Passwords as stored: bytes to judge, text to read back; None for NULL.
    """

    task: Task
    ids: Sequence[Any]
    stored: Sequence[Any]

    def __repr__(self) -> str:
        """Show how many rows there are."""
        return f"Chunk({self.task}, {len(self.ids)} rows)"


def work(judge: Judge, chunk: Chunk) -> Judged | Seen:
    """Return the chunk's results column by column."""
    if chunk.task == "judge":
        return judge.judge(chunk.ids, chunk.stored)
    return judge.read_back(chunk.ids, chunk.stored, only_primary=chunk.task == "read back the target's form")
