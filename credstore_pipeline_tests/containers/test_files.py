"""What the container files promise: read from the files themselves, without an engine."""

import fnmatch
import re
import subprocess

import pytest
import yaml

from credstore_pipeline_tests.containers.compose import (
    DOCKER,
    FILES,
    compose,
    dockerfile,
    places_of,
    project_file,
    source_exists,
    target_of,
    variables,
)
from credstore_pipeline_tests.lab import DAGSTER, ROOT

PAGE = (ROOT / "docs" / "containers.md").read_text()
SERVICES = compose()["services"]
SECRETS_OF = {
    "postgres": {"postgres_password", "migrator_password", "app_password", "dagster_password"},
    "init": {"migrator_password", "netraven_encryption_key"},
    "code": {"migrator_password", "netraven_encryption_key", "dagster_password"},
    "webserver": {"dagster_password"},
    "daemon": {"dagster_password"},
}


def copied() -> list[str]:
    """What the Dockerfile copies from the project."""
    found = []
    for stage in dockerfile().values():
        for words in stage.words("COPY"):
            if "--from=" not in words:
                found += [word for word in words.split()[:-1] if not word.startswith("--")]
    return found


def test_what_the_dockerfile_copies_is_there_and_let_in_and_nothing_else_is():
    sources = copied()
    assert sources
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert set(allowed) == set(sources)
    assert [source for source in sources if not source_exists(source)] == []
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_base_is_pinned_and_both_images_run_as_nobody_special_and_say_how_they_are():
    base = r"^ARG BASE_IMAGE=python:3\.1[123]\.\d+-slim-\w+@sha256:[0-9a-f]{64}$"
    assert re.search(base, (DOCKER / "Dockerfile").read_text(), re.M)
    stages = dockerfile()
    assert {stage.base for stage in stages.values()} == {"${BASE_IMAGE}", "build", "runtime"}
    for name in ("code", "control"):
        assert stages[name].words("USER") == ["10001:10001"]
        assert stages[name].healthcheck
        assert stages[name].last("CMD")
        assert not any("pip" in words or "apt" in words for words in stages[name].words("RUN"))
    assert not any("credstore_pipeline" in words for words in stages["build-control"].words("COPY"))


def test_every_service_gets_the_secrets_it_needs_and_no_other():
    assert {name: set(service["secrets"]) for name, service in SERVICES.items()} == SECRETS_OF
    seeded = compose("compose.seed.yaml")["services"]
    assert set(seeded) == {"init"}


@pytest.mark.parametrize("file", FILES)
def test_no_secret_stands_in_an_environment(file):
    for service in compose(file)["services"].values():
        told = service.get("environment", {})
        secret = {name for name in told if re.search("PASSWORD|KEY(?!_DIR)|SECRET", name)}
        assert {name for name in secret if not name.endswith("_FILE")} == set()
        for name in secret:
            assert str(told[name]).startswith("/run/secrets/"), name
            assert str(told[name]).removeprefix("/run/secrets/") in service["secrets"], name


def test_keys_and_the_target_are_known_to_code_and_init_alone():
    for name, service in SERVICES.items():
        told = set(service["environment"])
        if name in ("webserver", "daemon"):
            assert target_of(service) == "control"
            assert not any(each.startswith(("POSTGRES_", "NETRAVEN_")) for each in told)
        elif name != "postgres":
            assert target_of(service) == "code"
            assert service["environment"]["POSTGRES_USER"] == "credstore_migrator"


def test_each_service_starts_when_what_it_needs_is_healthy():
    order = {
        name: {each: told["condition"] for each, told in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    assert order == {
        "postgres": {},
        "init": {"postgres": "service_healthy"},
        "code": {"postgres": "service_healthy", "init": "service_completed_successfully"},
        "webserver": {"code": "service_healthy"},
        "daemon": {"code": "service_healthy"},
    }
    assert all(
        name in ("init", "code", "webserver") or service["healthcheck"]["test"] for name, service in SERVICES.items()
    )


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_more_than_it_needs(name):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged") and not service.get("pid") and service.get("network_mode") is None
    assert name == "postgres" or (service["read_only"] and "cap_add" not in service)
    assert not any("docker.sock" in source for source, _, _ in places_of(service))
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert name == "webserver" or "ports" not in service
    assert name == "webserver" or service["networks"] == ["inside"]


def test_what_is_mounted_from_the_project_is_there_and_read_only():
    for service in SERVICES.values():
        for source, _, mode in places_of(service):
            if source.startswith("./"):
                assert project_file(source).exists(), source
                assert mode == "ro", source


def test_the_legacy_store_is_read_only_but_for_cutover():
    (legacy,) = [each for each in places_of(SERVICES["code"]) if each[1] == "/legacy"]
    assert legacy == ("$CREDSTORE_LEGACY_DIR", "/legacy", "ro")
    override = compose("compose.cutover.yaml")["services"]
    assert set(override) == {"code"}
    assert places_of(override["code"]) == [("$CREDSTORE_LEGACY_DIR", "/legacy", "rw")]
    assert not any(
        "/legacy" in place for name, service in SERVICES.items() if name != "code" for _, place, _ in places_of(service)
    )


def test_every_image_is_pinned_or_built_here():
    for service in SERVICES.values():
        image = service.get("image", "")
        assert "build" in service or re.search(r":\d+\.\d+-\w+@sha256:[0-9a-f]{64}$", image), image


def test_every_variable_of_the_compose_files_is_documented():
    table = set(re.findall(r"`([A-Z_]+)`", PAGE.partition("## Variables")[2].partition("\n## ")[0]))
    assert variables() <= table


def test_every_service_and_secret_of_the_compose_file_is_documented():
    assert {f"`{name}`" for name in SERVICES} <= set(re.findall(r"^\| (`\w+`) ", PAGE, re.M))
    made = re.search(r"for name in (.*?); do", PAGE)
    assert {*made[1].split(), "netraven_encryption_key"} == set(compose()["secrets"])


def test_the_workspace_names_the_code_location_as_everything_else_does():
    (entry,) = yaml.safe_load((DOCKER / "workspace.docker.yaml").read_text())["load_from"]
    assert entry["grpc_server"]["location_name"] == "credstore_pipeline"
    assert dockerfile()["code"].last("CMD")[-4:] == [
        "--module-name",
        "credstore_pipeline.definitions",
        "--location-name",
        "credstore_pipeline",
    ]


def test_secrets_and_stores_beside_the_compose_file_never_enter_git_or_an_image():
    ignored = (DOCKER / ".gitignore").read_text().split()
    assert {"secrets/", "legacy/", ".env"} <= set(ignored)
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert not any(fnmatch.fnmatch("docker/secrets/x", f"{place}*") for place in allowed)


def test_the_entry_point_hands_on_the_password_and_names_a_file_that_it_cannot_read(tmp_path):
    secret = tmp_path / "dagster_password"
    secret.write_text("made up\n")
    script = DOCKER / "entrypoint.sh"

    def run(**environment):
        command = [script, "sh", "-c", 'printf %s "${DAGSTER_POSTGRES_PASSWORD:-none}"']
        return subprocess.run(command, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True)

    assert run().stdout == "none"
    assert run(DAGSTER_POSTGRES_PASSWORD_FILE=str(secret)).stdout == "made up"
    refused = run(DAGSTER_POSTGRES_PASSWORD_FILE=str(tmp_path / "none"))
    assert refused.returncode == 1
    assert "DAGSTER_POSTGRES_PASSWORD_FILE: this user" in refused.stderr


@pytest.mark.ci
@pytest.mark.parametrize("more", [(), ("compose.cutover.yaml",), ("compose.seed.yaml",)])
def test_the_compose_files_are_valid_by_their_schema(more):
    files = [word for file in ("compose.yaml", *more) for word in ("-f", file)]
    given = {"PATH": "/usr/bin:/bin", "CREDSTORE_LEGACY_DIR": "/srv/netraven", "CREDSTORE_LEGACY_GID": "1000"}
    command = ["docker-compose", *files, "config", "--quiet"]
    done = subprocess.run(command, cwd=DOCKER, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.ci
def test_the_dockerfile_passes_its_linter():
    tally = DAGSTER.replace("dagster", "tally")
    # Two images are made from one file, so one of them is never what the last stage needs.
    command = [tally, "lint", "--fail-level", "info", "--slow-checks", "off"]
    command += ["--ignore", "tally/no-unreachable-stages", "docker/Dockerfile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
