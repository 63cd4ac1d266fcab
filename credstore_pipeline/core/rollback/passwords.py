"""Passwords in the form that the old application reads."""

import base64
import json
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.errors import Refused
from credstore_pipeline.core.keys.ring import KeyRing, build_ring
from credstore_pipeline.core.secrets.opening import is_text, peel
from credstore_pipeline.core.secrets.pool import SecretPool

Format = Literal["envelope", "token", "plaintext"]


@dataclass(frozen=True, repr=False)
class Written:
    """A column of passwords to be written.

    Attributes:
        passwords: As the old application reads them, in the order given; NULL and the empty text stay.
        shut: Ids of rows that no key opens; they are written as they stand.
    """

    passwords: pa.Array
    shut: tuple[str, ...]

    def __repr__(self) -> str:
        """Show how many alone."""
        return f"Written({len(self.passwords)} passwords)"


def rollback_ring(keys: KeyMaterial, form: Format) -> KeyRing:
    """A ring that opens what the deployment's opens and seals with the old application's key string.

    Raises:
        Refused: If no such string is set.
    """
    given = keys.rollback_key or keys.application_key
    if given is None and form != "plaintext":
        raise Refused(
            "rollback",
            "neither CREDSTORE_ROLLBACK_KEY nor NETRAVEN_ENCRYPTION_KEY is set: the old application could read nothing",
            todo="Set the old application's key string; if it had none, CREDSTORE_ROLLBACK_FORMAT=plaintext.",
        )
    sealer = given or keys.target_key
    return build_ring(replace(keys, target_key=sealer, source_keys=(*keys.source_keys, keys.target_key)))


def written_passwords(rows: pa.Table, ring: KeyRing, secret_key: bytes, form: Format) -> Written:
    """Open each password and write it anew.

    Args:
        rows: `id` and `password` as they stand in the target.
        ring: From `rollback_ring`.
        secret_key: For the pool's fingerprints, which are not looked at here.
        form: What to write.
    """
    ids, stored = rows["id"].combine_chunks(), rows["password"].combine_chunks()
    with SecretPool(ring, secret_key) as pool:
        judged = pool.judge(ids, stored.cast(pa.binary()))
    good = pc.is_in(judged["verdict"], pa.array(["opened", "null", "empty"])).combine_chunks()
    if form == "plaintext":
        texts = [_opened(text, ring) if well else text for text, well in zip(_texts(stored), _texts(good), strict=True)]
    else:
        form_of = _token if form == "token" else str
        sealed = _texts(judged["sealed"])
        texts = [
            (form_of(text) if text else text) if well else as_is
            for text, as_is, well in zip(sealed, _texts(stored), _texts(good), strict=True)
        ]
    return Written(pa.array(texts, pa.string()), tuple(ids.filter(pc.invert(good)).to_pylist()))


def _texts(column: pa.Array | pa.ChunkedArray) -> list[str | None]:
    values: list[str | None] = column.to_pylist()
    return values


def _token(envelope: str) -> str:
    """The bare token of an envelope, as the first versions wrote it."""
    return base64.b64decode(json.loads(envelope)["encrypted_data"]).decode("ascii")


def _opened(stored: str | None, ring: KeyRing) -> str | None:
    if not stored:
        return stored
    plaintext = peel(stored.encode(), ring).plaintext
    return plaintext.decode() if plaintext is not None and is_text(plaintext) else stored
