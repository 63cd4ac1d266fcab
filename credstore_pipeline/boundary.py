"""The boundary between the core and Dagster: what leaves it is a safe message, never a value.

Dagster keeps the text of every exception, chained ones included, in its event log and the database behind it.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from credstore_pipeline.core.errors import UNCHANGED, CredstoreError


class Telling:
    """What a failure says about the data: that nothing was done until `stands` is called, that it is done from then on.

    Attributes:
        stage: The asset, check or operation that is at work.
    """

    def __init__(self, stage: str, state: str) -> None:
        """Begin before anything is written."""
        self.stage, self._state, self._stands = stage, state, False

    def stands(self, done: str) -> None:
        """Say that it is committed: what fails after this is the word about it alone.

        Args:
            done: What is true from now on, one or more sentences.
        """
        self._state, self._stands = done, True

    def text(self, error: Exception) -> str:
        """Where, what is wrong, what state the data is in, what next; no text of an error that is not ours."""
        if self._stands:
            return (
                f"{self.stage}: {self._state} What failed is saying so, afterwards: {_kind_and_place(error)} "
                "The run's report may be missing; see whether the disk is full. Launch nothing again for that."
            )
        if isinstance(error, CredstoreError):
            return str(error).replace(UNCHANGED, self._state)
        return unforeseen(self.stage, error, self._state)


@contextmanager
def told(stage: str, state: str = UNCHANGED) -> Iterator[Telling]:
    """Turn whatever a stage raises into a `dagster.Failure` whose first line says where, what, and what next.

    An error of ours is shown as it is. Of any other only the type and the place in the code are shown: its text
    may quote a value.

    Args:
        stage: The asset or check that is at work.
        state: What state the data is in if the stage fails; said instead of the core's own word for "nothing written",
            which is about this step alone. No longer said once `Telling.stands` was called.
    """
    telling = Telling(stage, state)
    try:
        yield telling
    except (dg.Failure, dg.DagsterError):
        raise
    except Exception as error:  # the boundary: any other text may quote a value
        raise _failure(telling.text(error), type(error).__name__) from None


def _failure(text: str, kind: str) -> dg.Failure:
    # Retrying is decided inside the core, where it is known what is transient.
    return dg.Failure(description=text, metadata={"kind": kind}, allow_retries=False)


def unforeseen(stage: str, error: Exception, state: str = UNCHANGED) -> str:
    """Describe an error that nobody foresaw by its type and place; its own text may quote a value."""
    return f"{stage}: an unforeseen {_kind_and_place(error)} {state} Report the place; launch again once it is mended."


def _kind_and_place(error: Exception) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "credstore_pipeline" in frame.filename]
    place = " < ".join(
        f"{frame.filename.partition('credstore_pipeline/')[2]}:{frame.lineno}" for frame in reversed(frames[-3:])
    )
    return f"{type(error).__name__} at {place}. Its text is not shown, since it may quote a value."
