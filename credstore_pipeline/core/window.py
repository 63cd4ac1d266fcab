"""The transition window: the time in which both stores live and changes are taken over."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Window:
    """From when until when re-syncs are launched by themselves; open for ever without bounds.

    Attributes:
        start: First moment, aware, or None.
        end: First moment after it, aware, or None.
    """

    start: datetime | None = None
    end: datetime | None = None

    def closed(self, now: datetime) -> str:
        """Say why it is closed at an aware moment; empty while it is open."""
        if self.start and now < self.start:
            return f"the window is not open yet: it opens at {_told(self.start)} (CREDSTORE_WINDOW_START)"
        if self.over(now):
            assert self.end
            return f"the window is over since {_told(self.end)} (CREDSTORE_WINDOW_END)"
        return ""

    def over(self, now: datetime) -> bool:
        """Tell whether its end has passed."""
        return self.end is not None and now >= self.end


def _told(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
