"""The boundary between the core and Dagster: what leaves it is a safe message, never a value.

Dagster keeps the text of every exception, chained ones included, in its event log and the database behind it.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from credstore_pipeline.core.errors import UNCHANGED, CredstoreError


@contextmanager
def told(stage: str, state: str = UNCHANGED) -> Iterator[None]:
    """Turn whatever a stage raises into a `dagster.Failure` whose first line says where, what, and what next.

    An error of ours is shown as it is. Of any other only the type and the place in the code are shown: its text
    may quote a value.

    Args:
        stage: The asset or check that is at work.
        state: What state the data is in if the stage fails; said instead of the core's own word for "nothing written",
            which is about this step alone.
    """
    try:
        yield
    except CredstoreError as error:
        raise _failure(str(error).replace(UNCHANGED, state), type(error).__name__) from None
    except (dg.Failure, dg.DagsterError):
        raise
    except Exception as error:  # the boundary: any other text may quote a value
        raise _failure(unforeseen(stage, error, state), type(error).__name__) from None


def _failure(text: str, kind: str) -> dg.Failure:
    # Retrying is decided inside the core, where it is known what is transient.
    return dg.Failure(description=text, metadata={"kind": kind}, allow_retries=False)


def unforeseen(stage: str, error: Exception, state: str = UNCHANGED) -> str:
    """Describe an error that nobody foresaw by its type and place; its own text may quote a value."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "credstore_pipeline" in frame.filename]
    place = " < ".join(
        f"{frame.filename.partition('credstore_pipeline/')[2]}:{frame.lineno}" for frame in reversed(frames[-3:])
    )
    return (
        f"{stage}: an unforeseen {type(error).__name__} at {place}. Its text is not shown, since it may quote a value. "
        f"{state} Report the place; launch again once it is mended."
    )
