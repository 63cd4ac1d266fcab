"""One measurement of both sides on this machine: `python -m credstore_pipeline.bench.access`."""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from credstore_pipeline.bench.access.clients import Cell, measure_cell
from credstore_pipeline.bench.access.contestants import OPERATIONS, Place
from credstore_pipeline.bench.access.page import keep
from credstore_pipeline.bench.access.places import BY_TAG, connected, plan_of, postgres_place, sqlite_place
from credstore_pipeline.bench.machine import describe_machine
from credstore_pipeline.bench.record import compose
from credstore_pipeline.demo.readback import drop_database
from credstore_pipeline.demo.stores import build_store, load_store
from credstore_pipeline.embedded import EmbeddedServer, embedded_server
from credstore_pipeline.store import CredentialStore

FEW = 10
"""So many of a tag's credentials are selected where a login needs few."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m credstore_pipeline.bench.access", description=__doc__)
    parser.add_argument("--sizes", default="100,10000,100000", help="numbers of credentials")
    parser.add_argument("--clients", default="1,8,32", help="numbers of clients at once")
    parser.add_argument("--operations", default=",".join(OPERATIONS), help="what is measured")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each operation")
    parser.add_argument("--home", type=Path, default=Path(".demo/bench"), help="folder of stores and server")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"), help="where results are kept")
    given = parser.parse_args(arguments)
    sizes, clients = ([int(one) for one in text.split(",")] for text in (given.sizes, given.clients))
    home = given.home.absolute()
    with embedded_server(home / "postgres-access") as server:
        cells, told = measure_all(home, server, sizes, clients, given.operations.split(","), given.seconds)
    keep(given.page, cells, told)
    compose(given.page)
    print(f"Kept in {given.page}.")
    return 0


def measure_all(
    home: Path, server: EmbeddedServer, sizes: list[int], clients: list[int], operations: list[str], seconds: float
) -> tuple[list[Cell], dict[str, Any]]:
    """Every operation, on every side, for every size and number of clients; the smallest first."""
    cells: list[Cell] = []
    told: dict[str, Any] = {"machine": describe_machine(), "at": datetime.now(UTC).strftime("%Y-%m-%d"), "plans": {}}
    # A machine that is busy with other things slows the server and its clients more than a file.
    told["load"] = round(os.getloadavg()[0], 1)
    ratios: list[tuple[str, str, str, str]] = []
    for size in sizes:
        places = make_places(home, server, size)
        for operation in operations:
            for number in clients:
                for place in places:
                    cells.append(measure_cell(place, operation, number, seconds))
                    _say(cells[-1])
        if size == max(sizes):
            for place in places[1:]:
                told["plans"][f"{place.name}: selecting by tag"] = plan_of(place, place.tag_ids[0])
                ratios += _beside_bare_query(place)
    told["reached"] = [*_counting(cells, max(clients)), *ratios]
    return cells, told


def make_places(home: Path, server: EmbeddedServer, size: int) -> list[Place]:
    """SQLite, PostgreSQL, and PostgreSQL with indexes, of one size; made anew, since measuring changes them."""
    folder = home / f"access-{size}"
    for file in folder.glob("*"):
        file.unlink()
    build_store(folder, "big", credentials=size)
    source = sqlite_place(load_store(folder), size)
    places = [source]
    for indexes in (False, True):
        name = f"access_{size}_{'with' if indexes else 'without'}_indexes"
        drop_database(server.url("postgres"), name)
        places.append(postgres_place(source, server.url(name), indexes=indexes))
    return places


def _counting(cells: list[Cell], clients: int) -> list[tuple[str, str, str, str]]:
    rows = []
    for size in dict.fromkeys(cell.size for cell in cells):
        found = {
            cell.contestant: cell
            for cell in cells
            if (cell.size, cell.operation, cell.clients) == (size, "status update", clients)
        }
        if not found:
            continue
        ours, theirs = found["PostgreSQL, indexes"], found["SQLite"]
        ratio = ours.rate / theirs.rate if theirs.rate else float("inf")
        what = f"status updates, {size:,} credentials, {clients} clients"
        rows.append((f"{what}: PostgreSQL / SQLite", f"{ratio:.1f}", ">= 5", _yes(ratio >= 5)))
        rows.append((f"{what}: lost by PostgreSQL", f"{ours.lost}", "0", _yes(ours.lost == 0)))
    return rows


def _beside_bare_query(place: Place) -> list[tuple[str, str, str, str]]:
    tag = place.tag_ids[0]
    with CredentialStore(place.url, place.key) as store, connected(place.url) as cursor:

        def bare() -> None:
            cursor.execute(BY_TAG, (tag,))
            cursor.fetchall()

        floor = _median(bare)
        few = _median(lambda: store.get_credentials_by_tag(tag, limit=FEW)) / floor
        every = _median(lambda: store.get_credentials_by_tag(tag)) / floor
        read = _median(lambda: [one.password for one in store.get_credentials_by_tag(tag)]) / floor
        rows = len(store.get_credentials_by_tag(tag))
    what = f"{place.name}: by tag / the bare query for {rows:,} rows"
    return [
        (f"{what}: {FEW} rows", f"{few:.2f}", "<= 2", _yes(few <= 2)),
        (f"{what}: all rows", f"{every:.2f}", "<= 2", _yes(every <= 2)),
        (f"{what}: all rows, and every password read", f"{read:.2f}", "", "no limit"),
    ]


def _median(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(15):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _say(cell: Cell) -> None:
    lost = "" if cell.lost is None else f", {cell.lost} lost"
    print(
        f"{cell.size:>7,} {cell.operation:<16} {cell.clients:>2} clients {cell.contestant:<20}"
        f" {cell.rate:>9,.1f}/s, median {cell.median_ms:,.2f} ms, {cell.refused} refused{lost}",
        flush=True,
    )


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"


if __name__ == "__main__":
    sys.exit(main())
