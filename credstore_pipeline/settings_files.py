"""Secrets from files: `NAME_FILE` names a file that holds what `NAME` would."""

from collections.abc import Iterable, Mapping
from pathlib import Path


def read_secret_files(names: Iterable[str], environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Read each secret whose `NAME_FILE` is set; one trailing line break is not part of it.

    Returns:
        The secrets by name, and what is wrong by name of the `_FILE` variable (never with a value).
    """
    found: dict[str, str] = {}
    faults: dict[str, str] = {}
    for name in names:
        place = environ.get(f"{name}_FILE")
        if not place:
            continue
        if environ.get(name):
            faults[f"{name}_FILE"] = f"{name} is set as well; set one of the two"
            continue
        try:
            text = Path(place).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except OSError as error:
            faults[f"{name}_FILE"] = f"the file cannot be read: {error.strerror}"
            continue
        except UnicodeDecodeError:
            faults[f"{name}_FILE"] = "the file is not UTF-8 text"
            continue
        if text:
            found[name] = text
        else:
            faults[f"{name}_FILE"] = "the file is empty"
    return found, faults
