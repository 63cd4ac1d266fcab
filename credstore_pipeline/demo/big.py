"""Writes a store of N credentials and 2N associations fast, for benchmarks: the same rows for the same seed.

Nine in ten passwords are sealed under `default` (most as envelopes, some as tokens), the rest stand in the clear
or are NULL. Sealing is spread over the cores; one process writes the file.
"""

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from credstore_pipeline.demo.encodings import FernetKey, Pen, Stored, default_key, null, plaintext
from credstore_pipeline.demo.grains import Grains
from credstore_pipeline.demo.maker import FIRST_ROW, LOADED
from credstore_pipeline.demo.schemas import SCHEMAS

KEY_STRING = "big-store-key-2025"
SCHEMA = "orm and web tags"
TAGS = 100
CHUNK_ROWS = 5_000
Row = tuple[object, ...]
Told = dict[str, Any]
FULL_EXPECTATION_ROWS = 20_000
"""Up to this many credentials, `expected.json` lists each row; above, it gives counts alone."""
LINKS_EACH = 2


def write_big(path: Path, credentials: int, *, seed: int = 1) -> tuple[Told, Told]:
    """The store stands at `path`; gives what `env.json` and `expected.json` are to hold."""
    connection = sqlite3.connect(path, isolation_level=None)
    # A made-up file that is made again after a crash needs no journal.
    for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000", "locking_mode=EXCLUSIVE"):
        connection.execute(f"PRAGMA {setting}")
    indexes = []
    for statement in SCHEMAS[SCHEMA]:
        indexes += [statement] if "INDEX" in statement else []
        if "INDEX" not in statement:
            connection.execute(statement)
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO tags VALUES (?,?,?,?,?,?)", tags(seed))
    for rows, links in _chunks(seed, credentials):
        connection.executemany(f"INSERT INTO credentials VALUES ({','.join('?' * 14)})", rows)
        connection.executemany(f"INSERT INTO credential_tags VALUES ({','.join('?' * 11)})", links)
    for statement in indexes:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.close()
    return {"encryption_key": KEY_STRING, "key_dir": None}, _expectation(seed, credentials)


def _chunks(seed: int, credentials: int) -> Iterator[tuple[list[Row], list[Row]]]:
    spans = [(seed, start, min(start + CHUNK_ROWS, credentials)) for start in range(0, credentials, CHUNK_ROWS)]
    if len(spans) < 4:
        yield from (chunk(span) for span in spans)
        return
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        # A window of its own: map() would hand out everything at once and hold every answer.
        waiting = []
        for span in spans:
            waiting.append(pool.submit(chunk, span))
            if len(waiting) > 8:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def tags(seed: int) -> list[Row]:
    """The rows of `tags`."""
    grains, at = Grains(seed), str(FIRST_ROW)
    return [(grains.uuid(f"big tag {n}"), f"site {n:03}", None, "#3386FF", at, at) for n in range(TAGS)]


def chunk(span: tuple[int, int, int]) -> tuple[list[Row], list[Row]]:
    """The rows of `credentials` and of `credential_tags` for the credentials from start to end."""
    seed, start, end = span
    grains, key = Grains(seed), default_key(KEY_STRING)
    pen = Pen(grains, written=start)
    tag_ids = [row[0] for row in tags(seed)]
    rows: list[Row] = []
    links: list[Row] = []
    for place in range(start, end):
        drawn = grains.bytes(f"big {place}", 48)
        row_id, at = _uuid(drawn[:16]), _moment(place)
        used = None if place % 3 else _moment(place + 90_000)
        pen.written = place
        rows.append(
            (row_id, f"device {place}", None if place % 4 else f"rack {place % 977}", f"operator{place % 50}",
             secret(place, drawn, pen, key).value, 0, None, place % 40, place % 7, used, used, None, at, at)
        )  # fmt: skip
        for turn in range(LINKS_EACH):
            link_id = _uuid(drawn[16 + 16 * turn : 32 + 16 * turn])
            tag = tag_ids[(place + turn * (1 + place % 41)) % TAGS]
            links.append((link_id, row_id, tag, float(place % 11), place % 9, place % 5, used, used, None, at, at))
    return rows, links


def secret(place: int, drawn: bytes, pen: Pen, key: FernetKey) -> Stored:
    """The password of the credential at this place, as it is stored."""
    text = f"big-{place}-{drawn[-9:].hex()}"
    kind = place % 100
    if kind == 99:
        return null()
    if kind >= 90:
        return plaintext(text)
    return pen.bare(text, key) if kind >= 80 else pen.envelope(text, key)


def _uuid(drawn: bytes) -> str:
    # The uuid module takes four times as long, on three million ids.
    text = drawn.hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[drawn[8] % 4]}{text[17:20]}-{text[20:]}"


def _moment(place: int) -> str:
    return (FIRST_ROW + timedelta(seconds=place % 86_400, microseconds=place % 1000)).isoformat(" ", "microseconds")


def _expectation(seed: int, credentials: int) -> Told:
    told = {
        "store": "big",
        "flavour": SCHEMA,
        "made_by": "the benchmark",
        "notes": "",
        "seed": seed,
        "counts": {"tags": TAGS, "credentials": credentials, "credential_tags": LINKS_EACH * credentials},
        "has_table": {"credentials": True, "tags": True, "credential_tags": True},
    }
    if credentials > FULL_EXPECTATION_ROWS:
        return told
    rows, links = chunk((seed, 0, credentials))
    return told | {
        "credentials": [_credential(place, row, seed) for place, row in enumerate(rows)],
        "tags": [_named(TAG_COLUMNS, row) for row in tags(seed)],
        "associations": [_named(LINK_COLUMNS, row) for row in links],
    }


def _credential(place: int, row: Row, seed: int) -> Told:
    pen, drawn = Pen(Grains(seed), written=place), Grains(seed).bytes(f"big {place}", 48)
    stored = secret(place, drawn, pen, default_key(KEY_STRING))
    told = {"password": stored.meaning, "recoverable": True, "encoding": stored.encoding, "use_keys_bool": False}
    return _named(CREDENTIAL_COLUMNS, row) | told


def _named(columns: tuple[str, ...], row: Row) -> Told:
    return dict(zip(columns, row, strict=True)) | {"fate": LOADED}


TAG_COLUMNS = ("id", "name", "description", "color", "created_at", "updated_at")
CREDENTIAL_COLUMNS = ("id", "name", "description", "username", "stored_password", "use_keys", "key_file",
                      "success_count", "failure_count", "last_used", "last_success", "last_failure",
                      "created_at", "updated_at")  # fmt: skip
LINK_COLUMNS = ("id", "credential_id", "tag_id", "priority", "success_count", "failure_count",
                "last_used", "last_success", "last_failure", "created_at", "updated_at")  # fmt: skip
