"""`make bench`: one measurement of everything on this machine, printed and kept in docs/benchmarks.md."""

import argparse
import shutil
import sys
from pathlib import Path

from credstore_pipeline.bench.contestants import BenchFailed, Track
from credstore_pipeline.bench.machine import kept_port
from credstore_pipeline.bench.record import Results, write_page
from credstore_pipeline.demo.stores import Store, build_store, load_store
from credstore_pipeline.embedded import EmbeddedServer, embedded_server

ORM_SCRIPT_MAX_ROWS = 200_000
"""Above this the ORM script is left out unless asked for: it takes many minutes and shows nothing new."""
SMALL = 1_000


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 if a program failed."""
    parser = argparse.ArgumentParser(prog="python -m credstore_pipeline.bench", description=__doc__)
    parser.add_argument("--credentials", type=int, default=100_000, help="rows; there are twice as many associations")
    parser.add_argument("--home", type=Path, default=Path(".demo/bench"), help="folder of stores, servers and logs")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"), help="where the results are kept")
    parser.add_argument("--orm", action="store_true", help=f"run the ORM script above {ORM_SCRIPT_MAX_ROWS:,} rows too")
    given = parser.parse_args(arguments)
    home = given.home.absolute()
    # All contestants reach the server in the same way: TCP, which pgloader needs.
    with embedded_server(home / "postgres", port=kept_port(home / "port")) as server:
        try:
            results = measure_all(home, server, given.credentials, orm=given.orm)
        except BenchFailed as failed:
            print(f"The bench did not run through. {failed}")
            return 1
    print(results.as_text())
    write_page(given.page, results)
    print(f"\nKept in {given.page}.")
    return 0


def measure_all(home: Path, server: EmbeddedServer, credentials: int, *, orm: bool) -> Results:
    """Each program once, one after the other; the smaller ones first."""
    small = Track(home, server, big_store(home, SMALL), SMALL)
    _say("Dagster with empty steps")
    empty = small.empty_steps()
    _say(f"the pipeline, {SMALL:,} credentials")
    thousand, _, _ = small.pipeline()
    large = Track(home, server, big_store(home, credentials), credentials)
    _say(f"pgloader, {credentials:,} credentials")
    pgloader = large.pgloader()
    _say(f"the pipeline, {credentials:,} credentials")
    first, second, changed = large.pipeline()
    script = None
    if orm or credentials <= ORM_SCRIPT_MAX_ROWS:
        _say(f"the ORM script, {credentials:,} credentials")
        script = large.orm_script()
    return Results.of(credentials, first, second, changed, pgloader, script, thousand, empty)


def big_store(home: Path, credentials: int) -> Store:
    """The store of that size, made once and kept."""
    folder = home / f"store-{credentials}"
    if not (folder / "expected.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _say(f"a store of {credentials:,} credentials")
        build_store(folder, "big", credentials=credentials)
    return load_store(folder)


def _say(what: str) -> None:
    print(f"... {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
