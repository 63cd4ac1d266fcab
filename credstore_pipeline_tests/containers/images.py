"""Images without an engine: buildah in a chroot, on a base that debootstrap makes, from a folder of wheels."""

import json
import os
import platform
import subprocess
import sys
import tomllib
from pathlib import Path

from credstore_pipeline_tests.lab import ROOT

PYTHON = ("python3", "python3-venv", "python3-pip", "ca-certificates")
BASE = "localhost/credstore-base"


class Buildah:
    """Images and containers in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is made yet."""
        self.folder = folder
        self.wheels = folder / "wheels"
        self.containers: list[str] = []

    def __call__(self, command: str, *arguments: str, check: bool = True) -> str:
        """Run one of buildah's commands; returns what it printed."""
        places = ["--root", str(self.folder / "root"), "--runroot", str(self.folder / "runroot")]
        done = subprocess.run(
            ["buildah", *places, "--storage-driver", "vfs", command, *arguments],
            cwd=ROOT,
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
            capture_output=True,
            text=True,
        )
        assert not check or done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout if check else done.stdout + done.stderr

    def make_base(self) -> None:
        """Make the base image: this machine's Debian with Python, and nothing else."""
        if BASE in self("images", "--format", "{{.Name}}"):
            return
        # A download may fail that succeeds a moment later; what is there half is begun anew.
        for tried in range(3):
            container = self("from", "scratch").strip()
            root = self("mount", container).strip()
            command = ["debootstrap", "--variant=minbase", f"--include={','.join(PYTHON)}", _release(), root]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                break
            assert tried < 2, done.stdout[-3000:]
            self("umount", container)
            self("rm", container)
        self("umount", container)
        self("commit", "-q", container, BASE)
        self("rm", container)

    def make_wheels(self) -> None:
        """Fetch or build everything that the images install; for this Python, which has to be the base's version."""
        if not self.wheels.is_dir():
            pip = [sys.executable, "-m", "pip", "wheel", "-q", "-c", "constraints.txt", "-w", str(self.wheels)]
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            wanted = [*project["dependencies"], *project["optional-dependencies"]["containers"], "dagster-webserver"]
            subprocess.run([*pip, *wanted, "setuptools"], cwd=ROOT, check=True)

    def build(self, target: str) -> str:
        """Build a target of the Dockerfile; returns the image's name."""
        name = f"localhost/credstore-{target}"
        self(
            "build",
            *("--format", "docker", "--file", "docker/Dockerfile", "--target", target, "--tag", name),
            *("--volume", f"{self.wheels}:/wheels:ro", "--build-arg", f"BASE_IMAGE={BASE}"),
            *("--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/wheels", "."),
        )
        return name

    def config(self, image: str) -> dict[str, object]:
        """What the image says of itself."""
        return dict(json.loads(self("inspect", "--type", "image", image))["Docker"]["config"])

    def container(self, image: str) -> str:
        """Make a container; `close` removes it."""
        self.containers.append(self("from", "--pull-never", image).strip())
        return self.containers[-1]

    def command(self, container: str, words: list[str], *, volume: Path, **environment: str) -> list[str]:
        """The command line that runs words in a container as an engine would: its user, its folder, its variables."""
        places = ["--root", str(self.folder / "root"), "--runroot", str(self.folder / "runroot")]
        told = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        return [
            *("buildah", *places, "--storage-driver", "vfs", "run", "--isolation", "chroot"),
            *("--volume", f"{volume}:/run/secrets:ro", *told, container, "--", *words),
        ]

    def close(self) -> None:
        """Remove the containers."""
        for container in self.containers:
            self("rm", container)


def _release() -> str:
    return platform.freedesktop_os_release()["VERSION_CODENAME"]
