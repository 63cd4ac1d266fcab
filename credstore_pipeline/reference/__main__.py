"""Says which pages differ from the code, or writes them anew."""

import argparse
import sys
from pathlib import Path

from credstore_pipeline.reference.pages import outdated, put_demo, write

ROOT = Path(__file__).parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; 1 if pages differ and were not written."""
    parser = argparse.ArgumentParser(prog="python -m credstore_pipeline.reference", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the pages")
    parser.add_argument("--demo", type=Path, metavar="FILE", help="put what make demo printed into the README")
    given = parser.parse_args(arguments)
    if given.demo:
        put_demo(ROOT, given.demo.read_text(encoding="utf-8"))
    if given.write:
        for page in write(ROOT):
            print(f"written: {page.relative_to(ROOT)}")
        return 0
    pages = outdated(ROOT)
    for page in pages:
        print(f"differs from the code: {page.relative_to(ROOT)}")
    return 1 if pages else 0


if __name__ == "__main__":
    sys.exit(main())
