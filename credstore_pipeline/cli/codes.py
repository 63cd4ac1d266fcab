"""Exit codes, the same for each command."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    RED = 1
    USAGE = 2
    NOT_READY = 3


MEANINGS = {
    Exit.DONE: "Done: the run is green, or what was asked is shown.",
    Exit.RED: "The run was refused or failed, or a check that blocks is red. What to do stands in its text.",
    Exit.USAGE: "The command line is wrong: an unknown option, job or value.",
    Exit.NOT_READY: "Settings are missing or wrong, or the target cannot be read. Nothing was started.",
}
"""Code -> what it means; shown by the documentation."""
