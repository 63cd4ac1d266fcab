"""Opening many stored passwords at once: the same answers as `opening.peel`, layer by layer for all of them.

Rules: docs/legacy-formats.md, "Wrapped more than once".
"""

from collections.abc import Sequence

from credstore_pipeline.core.keys.key import Key
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.keys.tokens import decoded
from credstore_pipeline.core.secrets.opening import Opened, told_key, unsealed
from credstore_pipeline.core.secrets.shapes import Encoding, Sealed, shape_of


def peel_many(stored: Sequence[bytes | None], ring: KeyRing) -> list[Opened]:
    """Return what `opening.peel` returns for each; never raises."""
    shapes = [shape_of(text) if text else None for text in stored]
    found = [unsealed(text) for text in stored]
    outermost: dict[int, Key] = {}
    pending: list[tuple[int, Sealed]] = [(place, sealed) for place, sealed in enumerate(shapes) if sealed is not None]
    layers = 0
    while pending:
        opened = ring.open_many([sealed.token for _, sealed in pending], [sealed.named for _, sealed in pending])
        deeper = []
        for (place, sealed), one in zip(pending, opened, strict=True):
            outside = shapes[place]
            encoding, exact = (outside.encoding, outside.exact) if outside else (Encoding.PLAINTEXT, False)
            if one is None:
                found[place] = Opened(None, encoding, layers, outermost.get(place), told_key(sealed.named))
                continue
            key, text = one
            first = outermost.setdefault(place, key)
            inside = shape_of(text)
            if inside is not None:
                deeper.append((place, inside))
                continue
            as_meant = exact and not layers and first is ring.primary
            found[place] = Opened(text, encoding, layers + 1, first, None, as_meant)
        pending = deeper
        layers += 1
    return found


def peel_primary_many(stored: Sequence[bytes | None], ring: KeyRing) -> list[Opened]:
    """Return what `opening.peel_primary` returns for each; never raises."""
    shapes = [shape_of(text) if text else None for text in stored]
    found = [unsealed(text) if not text else _unopened(sealed) for text, sealed in zip(stored, shapes, strict=True)]
    exact = [(place, decoded(sealed.token)) for place, sealed in enumerate(shapes) if sealed and sealed.exact]
    tokens = [(place, raw) for place, raw in exact if raw is not None]
    opened = ring.primary.open_many([raw for _, raw in tokens])
    for (place, _), plaintext in zip(tokens, opened, strict=True):
        if plaintext is not None:
            final = shape_of(plaintext) is None
            text = plaintext if final else None
            found[place] = Opened(text, Encoding.ENVELOPE, 1, ring.primary, None, final)
    return found


def _unopened(sealed: Sealed | None) -> Opened:
    return Opened(None, Encoding.PLAINTEXT if sealed is None else sealed.encoding)
