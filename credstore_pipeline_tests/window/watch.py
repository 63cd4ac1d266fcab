"""What a process asks of the operating system, heard before it is done; a test may refuse it."""

import sys
from contextlib import contextmanager

WATCHED = ("os.", "open", "shutil.", "sqlite3.connect")


class Watch:
    """Calls back before whatever the interpreter asks of the operating system, while it is on."""

    def __init__(self):
        self.each = None
        # An audit hook cannot be taken out again.
        sys.addaudithook(self._heard)

    def _heard(self, event, arguments):
        if self.each is not None and event.startswith(WATCHED):
            each, self.each = self.each, None
            try:
                kept = each(event, arguments)
            except BaseException:
                self.each = getattr(each, "then", None)
                raise
            self.each = each if kept is not False else None

    @contextmanager
    def calling(self, each):
        self.each = each
        try:
            yield
        finally:
            self.each = None
