"""Files that get their name when they are whole and proven, and are gone when whoever made them is."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from glob import escape
from pathlib import Path

from credstore_pipeline.core.errors import Refused, SnapshotNotProven
from credstore_pipeline.core.lease import remove_unheld
from credstore_pipeline.core.source.partial import SUFFIX, partial_folder

NO_LINKS = frozenset(
    (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
)
"""What a file system answers that has no hard links, or none more."""
_MARK = "-????????" + SUFFIX
"""What `partial_folder` adds to a name."""
_ROOM = "Make room there, or choose another folder."


@contextmanager
def unproven(final: Path, where: str, state: str, leftovers: str | None = None) -> Iterator[Path]:
    """Give the path of a file to be made, in a private folder beside its final name, which goes with the block.

    Args:
        final: Where it is to be.
        where: Who makes it, for error messages.
        state: What state the data is in if this fails.
        leftovers: Pattern for names of the same kind: folders that killed runs made for them are removed; by default
            those for the same name.

    Raises:
        Refused: If no folder can be made there.
    """
    for folder in final.parent.glob((leftovers or escape(final.name)) + _MARK):
        remove_unheld(folder)
    with ExitStack() as stack:
        try:
            folder, _ = stack.enter_context(partial_folder(final.parent, final.name))
        except SnapshotNotProven as error:
            raise Refused(where, f"{final.parent}: {error.wrong}", state=state, todo=_ROOM) from None
        yield folder / final.name


@contextmanager
def file_errors(folder: Path, where: str, state: str) -> Iterator[None]:
    """Name a folder that takes no file, or no more of it.

    Raises:
        Refused: If the file system refuses.
    """
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "OSError")
        raise Refused(where, f"{folder} refuses a file ({name})", state=state, todo=_ROOM) from None


def give_name(path: Path, final: Path, where: str, state: str) -> None:
    """Give a proven file its final name, where nothing is, on disk when this returns.

    Raises:
        Refused: If the name was taken meanwhile.
    """
    sync(path)
    try:
        try:
            os.link(path, final)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            # Without hard links a name is taken first: a rename would overwrite what is there.
            os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            path.rename(final)
    except FileExistsError:
        raise Refused(where, f"{final} was taken meanwhile", state=state, todo="Write another `to`.") from None
    sync(final.parent)


def sync(path: Path) -> None:
    """Have a file, or a folder's entries, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
