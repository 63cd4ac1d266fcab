"""What holds for the project as a whole: its layout, its pins, its names for one code location."""

import ast
import re
import statistics
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "credstore_pipeline"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NO_THINGS = {"utils", "util", "common", "helpers", "helper", "misc", "tools", "base"}


def lines_of(module: Path) -> int:
    return len(module.read_text().splitlines())


def imports_of(module: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_no_module_is_longer_than_300_lines() -> None:
    assert {str(module.relative_to(ROOT)): lines_of(module) for module in MODULES if lines_of(module) > 300} == {}


def test_half_of_the_modules_have_at_most_100_lines() -> None:
    assert statistics.median(lines_of(module) for module in MODULES if module.name != "__init__.py") <= 100


def test_no_module_is_named_after_a_kind_of_helper() -> None:
    assert [module for module in MODULES if {module.stem, module.parent.name} & NO_THINGS] == []


def test_the_core_imports_no_dagster() -> None:
    core = [module for module in MODULES if PACKAGE / "core" in module.parents]
    assert core
    assert [
        module.name for module in core if any(name.split(".")[0].startswith("dagster") for name in imports_of(module))
    ] == []


def test_the_core_imports_nothing_of_the_package_but_itself() -> None:
    inside = ("credstore_pipeline.core", "credstore_pipeline.__version__")
    for module in (module for module in MODULES if PACKAGE / "core" in module.parents):
        ours = {name for name in imports_of(module) if name.startswith("credstore_pipeline.")}
        assert {name for name in ours if not name.startswith(inside)} == set(), module


def test_the_pipeline_imports_nothing_of_the_demo_or_the_bench() -> None:
    makers = (PACKAGE / "demo", PACKAGE / "bench")
    for module in MODULES:
        if not any(folder in module.parents for folder in makers):
            found = {name for name in imports_of(module) if re.match(r"credstore_pipeline\.(demo|bench)", name)}
            assert found == set(), module


def test_the_makers_of_stores_share_no_code_with_the_reader() -> None:
    for module in (PACKAGE / "demo").rglob("*.py"):
        assert not any(name.startswith("credstore_pipeline.core") for name in imports_of(module)), module


def test_workspace_and_pyproject_name_the_same_module_and_location() -> None:
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    named = (entry["python_module"]["module_name"], entry["python_module"]["location_name"])
    tools = PROJECT["tool"]
    assert named == (tools["dagster"]["module_name"], tools["dagster"]["code_location_name"])
    project = tools["dg"]["project"]
    assert named == (project["code_location_target_module"], project["code_location_name"])
    assert (PACKAGE / "definitions.py").is_file()


def test_every_dependency_is_pinned_to_one_version_and_no_host_is_named() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ; [a-z_ '\"<>=.0-9]+)?", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;! ]", name)[0]).lower() for name in wanted}
    assert names - pinned == set()


def test_every_make_command_of_the_documentation_exists() -> None:
    assert {"demo", "test", "check", "ui", "bench", "help"} <= make_targets()
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        commands = re.findall(r"(?:^|`)(?:\$ )?make ([a-z]+)", page.read_text(), re.MULTILINE)
        assert set(commands) <= make_targets(), page


@pytest.mark.parametrize("switch", ["telemetry", "nux"])
def test_a_new_dagster_home_has_telemetry_and_dialogs_off(switch: str) -> None:
    settings = yaml.safe_load((PACKAGE / "dagster_home" / "dagster.yaml").read_text())
    assert settings[switch] == {"enabled": False}
