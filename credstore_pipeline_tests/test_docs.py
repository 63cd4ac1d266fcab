"""The documentation is tested against the code: its tables, names, links, and the commands it tells to type."""

import ast
import os
import re
from pathlib import Path

import pytest

from credstore_pipeline.core.data_key import Purpose, TargetPurpose
from credstore_pipeline.core.errors import SettingsError
from credstore_pipeline.core.reasons import WHAT_TO_DO, Reason
from credstore_pipeline.core.rules.repairs import Rule
from credstore_pipeline.deployments import deployment_from
from credstore_pipeline.reference.pages import generated, outdated, pages
from credstore_pipeline.reference.tables import TABLES
from credstore_pipeline.reference.wording import KEY_USES, REASONS, RULES, SETTINGS
from credstore_pipeline.settings import Settings
from credstore_pipeline.settings_reading import read_settings, secret_names

ROOT = Path(__file__).resolve().parents[1]
PAGES = pages(ROOT)
TEXT = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
OURS = ("CREDSTORE_", "POSTGRES_", "NETRAVEN_", "DAGSTER_")
READ_AS = "<!-- refusal of an empty environment -->\n```\n"


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    return monkeypatch


def sections(page: str) -> set[str]:
    text = re.sub(r"```.*?```", "", TEXT.get(page, ""), flags=re.DOTALL)
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


def anchors(page: str) -> set[str]:
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in sections(page)}


def test_every_generated_table_is_as_the_code_says() -> None:
    assert outdated(ROOT) == [], "python -m credstore_pipeline.reference --write"


def test_every_generated_table_stands_on_a_page() -> None:
    shown = {name for text in TEXT.values() for name in re.findall(r"<!-- begin: ([a-z-]+) -->", text)}
    assert shown == set(TABLES)
    assert all(text.count("<!-- begin:") == text.count("<!-- end -->") for text in TEXT.values())


def test_a_table_that_differs_is_noticed_and_the_text_around_it_kept() -> None:
    page = "before\n<!-- begin: reasons -->\nwrong\n<!-- end -->\nafter\n"
    mended = generated(page)
    assert mended.startswith("before\n<!-- begin: reasons -->\n| reason |")
    assert mended.endswith("<!-- end -->\nafter\n")
    assert generated(mended) == mended


def test_every_code_and_setting_has_its_words_and_no_words_are_left_over() -> None:
    assert set(RULES) == set(Rule)
    assert set(REASONS) == set(Reason)
    assert set(SETTINGS) == set(Settings.model_fields)
    assert set(KEY_USES) == {*TargetPurpose, *Purpose}


def test_every_section_that_the_code_names_exists() -> None:
    named = re.compile(r'docs/([a-z-]+\.md)`?, "([^"]+)"')
    found = [
        (module.relative_to(ROOT), page, section)
        for module in [*(ROOT / "credstore_pipeline").rglob("*.py"), *Path(__file__).parent.rglob("*.py")]
        for page, section in named.findall(re.sub(r"\s+", " ", module.read_text(encoding="utf-8")))
    ]
    assert found
    assert [each for each in found if each[2] not in sections(each[1])] == []


def test_every_test_that_the_readme_names_exists() -> None:
    named = re.findall(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`", TEXT["README.md"])
    assert len(named) >= 20
    tests = Path(__file__).parent
    have = {file: _functions(tests / file) for file in {file for file, _ in named}}
    assert [f"{file}::{name}" for file, name in named if name not in have[file]] == []


def _functions(file: Path) -> set[str]:
    if not file.is_file():
        return set()
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", TEXT)
def test_every_link_leads_somewhere(page: str) -> None:
    places = {path.name: path for path in PAGES}
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXT[page]):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (places[page].parent / path).resolve() if path else places[page]
        assert target.is_file(), link
        if anchor:
            assert anchor in anchors(target.name), link


def test_pages_lead_elsewhere_only_to_addresses_that_are_listed_here() -> None:
    """A test asks nobody outside this machine, so an address that is added has to be written down twice."""
    found = {address for text in TEXT.values() for address in re.findall(r"https?://[^\s)>`\"|]+", text)}
    ours = {"http://127.0.0.1:3000", "https://hooks.example/credstore"}
    assert found - ours == {"https://dagster.io"}


@pytest.mark.parametrize("page", TEXT)
def test_every_variable_that_is_named_is_a_setting(page: str) -> None:
    words = set(re.findall(r"\b(?:CREDSTORE|NETRAVEN|POSTGRES)_[A-Z_]+[A-Z]\b", TEXT[page]))
    words -= {f"{name}_FILE" for name in secret_names()}
    modules = [*(ROOT / "credstore_pipeline").rglob("*.py"), *(ROOT / "docker").glob("*.yaml")]
    code = "\n".join(module.read_text(encoding="utf-8") for module in modules)
    assert {word for word in words if word not in code} == set()


@pytest.mark.parametrize("page", TEXT)
def test_every_module_and_table_that_is_named_exists(page: str) -> None:
    for path in re.findall(r"`(core/[a-z_/]+(?:\.py|/))`", TEXT[page]):
        assert (ROOT / "credstore_pipeline" / path).exists(), path
    for module in re.findall(r"python -m (credstore_pipeline[a-z_.]*)", TEXT[page]):
        place = ROOT.joinpath(*module.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module
    columns = dict(re.findall(r"^\| `([a-z_]+)` \|.*\| (`[^|]+) \|$", TABLES["sync-tables"](), re.M))
    for table, column in re.findall(r"`credstore_sync\.([a-z_]+)(?:\.([a-z_]+))?`", TEXT[page]):
        assert table in columns, table
        assert not column or f"`{column}`" in columns[table], (table, column)


def test_every_check_says_what_it_proves_what_it_cannot_catch_and_what_to_do() -> None:
    text = TEXT["checks.md"]
    checks = re.findall(r"\(checks\.md#([a-z_]+)\)", text)
    parts = dict(re.findall(r"^### `([a-z_]+)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(parts) == set(checks)
    for name, part in parts.items():
        assert [f"**{head}.**" in part for head in ("Proves", "Cannot catch", "When red")] == [True] * 3, name


@pytest.mark.parametrize("page", TEXT)
def test_no_page_names_a_place_of_some_machine(page: str) -> None:
    assert re.findall(r"(?:/root|/home/\w+|/work|/tmp|/Users)/\S*", TEXT[page]) == []


def test_the_refusal_of_an_empty_environment_is_as_documented(clean_environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings()
    block = TEXT["settings.md"].partition(READ_AS)[2].partition("```")[0]
    assert block.strip() == str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    re.findall(
        r"^\| `(\w+)` \| `([^`]+)` \| (.+) \|$", TEXT["settings.md"].partition("<!-- refused values -->")[2], re.M
    ),
)
def test_a_refused_value_is_answered_as_documented(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, said: str
) -> None:
    store = tmp_path / "store.db"
    store.touch()
    right = {"CREDSTORE_SQLITE_PATH": store, "CREDSTORE_POSTGRES_URL": "postgresql://db/netraven"}
    right |= {"CREDSTORE_TARGET_KEY": "a key", "DAGSTER_HOME": tmp_path / "home"}
    for variable, given in {**right, name: value}.items():
        clean_environment.setenv(variable, str(given))
    with pytest.raises(SettingsError) as refused:
        deployment_from(read_settings(), lambda _: pytest.fail("the embedded server was started"))
    assert f"  {name}: {said}" in str(refused.value)


def test_the_demos_output_tells_what_the_demo_tells() -> None:
    block = TEXT["README.md"].partition("<!-- demo -->")[2].partition("<!-- /demo -->")[0]
    assert re.findall(r"Exit code (\d)", block) == ["1", "1", "0", "0"]
    advice = dict(re.findall(r"^ +([a-z_]+) \(\d+\): (.+)$", block, re.MULTILINE))
    assert advice
    assert advice.items() <= {(str(reason), text) for reason, text in WHAT_TO_DO.items()}
