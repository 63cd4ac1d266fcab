"""Command line of the made-up stores: `python -m credstore_pipeline.demo store PATH`; `run`, the demo; `fresh`."""

import argparse
import sys
from pathlib import Path

from credstore_pipeline.demo.stores import BIG, NAMES, build_store


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; 0 when it was done."""
    parser = argparse.ArgumentParser(prog="python -m credstore_pipeline.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    store = commands.add_parser("store", help="write one made-up legacy store")
    store.add_argument("path", type=Path, help="folder to write it into; made if missing")
    store.add_argument("--flavour", choices=NAMES, help=f"default: demo, or {BIG} with --credentials")
    store.add_argument("--credentials", type=int, metavar="N", help=f"size of the flavour {BIG}")
    store.add_argument("--seed", type=int, default=1, help="another seed, other ids, keys and passwords")
    run = commands.add_parser("run", help="the whole story on a made-up store: refuse, allow, repeat, read back")
    fresh = commands.add_parser("fresh", help="the story's store and an empty target, to be migrated by hand")
    for each in (run, fresh):
        each.add_argument("--home", type=Path, default=Path(".demo"), help="folder of everything the demo writes")
    given = parser.parse_args(arguments)
    if given.command in ("run", "fresh"):
        # The story needs the pipeline's packages, the stores do not.
        from credstore_pipeline.demo.story import begin, tell

        return (tell if given.command == "run" else begin)(given.home)
    flavour = given.flavour or ("demo" if given.credentials is None else BIG)
    if given.credentials is not None and flavour != BIG:
        parser.error(f"--credentials belongs to --flavour {BIG}; the others have the rows they show")
    try:
        built = build_store(given.path, flavour, seed=given.seed, credentials=given.credentials or 1000)
    except FileExistsError as error:
        parser.exit(1, f"{error}\n")
    print(f"{built.path}: flavour {flavour}")
    for name, value in built.environment().items():
        print(f"  {name}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
