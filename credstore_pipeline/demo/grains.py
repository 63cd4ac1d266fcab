"""Repeatable bytes: the same seed and label give the same value on every machine and Python."""

import hashlib
import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class Grains:
    """A seed from which everything random in a made-up store is drawn, by label.

    Labels make each value independent of the order in which values are drawn.
    """

    seed: int

    def bytes(self, label: str, count: int) -> bytes:
        """`count` bytes that belong to the label."""
        return hashlib.shake_256(f"{self.seed}/{label}".encode()).digest(count)

    def hex(self, label: str, digits: int = 8) -> str:
        """Hexadecimal digits that belong to the label."""
        return self.bytes(label, (digits + 1) // 2).hex()[:digits]

    def uuid(self, label: str) -> str:
        """A version 4 UUID as the application writes it: lower case, 36 characters."""
        return str(uuid.UUID(bytes=self.bytes(f"uuid/{label}", 16), version=4))

    def below(self, label: str, limit: int) -> int:
        """A number from 0 to `limit` - 1."""
        return int.from_bytes(self.bytes(f"number/{label}", 8)) % limit
