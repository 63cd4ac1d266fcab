"""The container files, read as an engine reads them, so that tests run what they say and nothing else."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from credstore_pipeline_tests.lab import ROOT

DOCKER = ROOT / "docker"
FILES = ("compose.yaml", "compose.cutover.yaml", "compose.seed.yaml")
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<word>[^}]*))?\}")
INSTRUCTION = re.compile(r"^(?P<name>[A-Z]+)\s+(?P<words>.*)$")


@dataclass(frozen=True)
class Stage:
    """One stage of the Dockerfile.

    Attributes:
        name: As in `AS name`.
        base: What it starts from.
        instructions: Its own, without those of its base: (name, words).
    """

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def words(self, name: str) -> list[str]:
        """Words of each instruction of that name."""
        return [words for found, words in self.instructions if found == name]

    def last(self, name: str) -> list[str]:
        """The last CMD or ENTRYPOINT, in its exec form."""
        return list(json.loads(self.words(name)[-1]))

    @property
    def healthcheck(self) -> list[str]:
        """The command of its HEALTHCHECK."""
        return list(json.loads(self.words("HEALTHCHECK")[-1].partition("CMD ")[2]))


def dockerfile() -> dict[str, Stage]:
    """Stages by name, in order."""
    text = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text())
    stages: dict[str, Stage] = {}
    for line in text.splitlines():
        found = INSTRUCTION.match(line)
        if found is None or not found:
            continue
        name, words = found["name"], found["words"]
        if name == "FROM":
            base, _, stage = words.partition(" AS ")
            stages[stage] = Stage(stage, base, ())
        elif stages:
            last = stages[next(reversed(stages))]
            stages[last.name] = Stage(last.name, last.base, (*last.instructions, (name, words)))
    return stages


def image(target: str) -> list[tuple[str, str]]:
    """The instructions that make an image, those of its bases first."""
    stages, found = dockerfile(), list[tuple[str, str]]()
    while target in stages:
        found = [*stages[target].instructions, *found]
        target = stages[target].base
    return found


def variables_of(target: str) -> dict[str, str]:
    """What an image sets in every process's environment."""
    told = [word for name, words in image(target) if name == "ENV" for word in shlex.split(words)]
    return dict(word.split("=", 1) for word in told)


def files_of(target: str) -> dict[str, str]:
    """Files of the project that an image has: place inside -> place in the project."""
    copies = [words.split() for name, words in image(target) if name == "COPY" and "--from=" not in words]
    plain = [[word for word in words if not word.startswith("--")] for words in copies]
    return {place: source for *sources, place in plain for source in sources}


def entry_point(target: str) -> list[str]:
    """The image's ENTRYPOINT, in its exec form."""
    return list(json.loads([words for name, words in image(target) if name == "ENTRYPOINT"][-1]))


def compose(name: str = "compose.yaml") -> dict[str, Any]:
    """A compose file, variables as they stand."""
    return dict(yaml.safe_load((DOCKER / name).read_text()))


def variables() -> set[str]:
    """Names of all variables that the compose files take from their environment."""
    return {found["name"] for name in FILES for found in VARIABLE.finditer((DOCKER / name).read_text())}


def filled(text: str, given: dict[str, str]) -> str:
    """The text with its variables, each as given or as its default."""
    return VARIABLE.sub(lambda found: given.get(found["name"]) or found["word"] or "", text).replace("$$", "$")


def target_of(service: dict[str, Any]) -> str:
    """The Dockerfile's stage that a service is built from."""
    return str(service["build"]["target"])


def places_of(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Volumes of a service: source, place inside, mode."""
    found = []
    for volume in service.get("volumes", []):
        # A default may hold colons, the rest does not.
        text = VARIABLE.sub(lambda one: f"${one['name']}", volume)
        source, place, *mode = text.split(":")
        found.append((source, place, mode[0] if mode else "rw"))
    return found


def source_exists(path: str) -> bool:
    """Whether what a COPY or a mount names is in the project."""
    return (ROOT / path).exists()


def project_file(path: str) -> Path:
    """A path as the compose files name it."""
    return (DOCKER / path).resolve()
