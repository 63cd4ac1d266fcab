"""docs/tutorial.md, as somebody does it who has a clone, a terminal and a browser, and reads nothing else."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from credstore_pipeline_tests.docs.blocks import ROOT, commands
from credstore_pipeline_tests.docs.session import Session, clone
from credstore_pipeline_tests.ports import free_port
from credstore_pipeline_tests.ui.site import SETTLED_MS, Site, says

pytestmark = pytest.mark.ci

PAGE = (ROOT / "docs" / "tutorial.md").read_text()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A terminal in a clone; the UI has a port of its own."""
    opened = Session(clone(tmp_path / "clone"), {"UI_PORT": str(free_port())})
    yield opened
    opened.close()
    shutil.rmtree(tmp_path / "clone", ignore_errors=True)


def choose(page: Page, *names: str) -> None:
    """Click what the tutorial names, one after the other."""
    for name in names:
        assert f"*{name}*" in PAGE or f"`{name}`" in PAGE, name
        found = page.get_by_role("link", name=name, exact=True).or_(page.get_by_text(name, exact=True))
        found.locator("visible=true").first.click()


def materialize(page: Page, site: Site) -> dict[str, str]:
    """Click *Materialize all* and wait for the end of that run."""
    before = len(site.runs())
    page.get_by_role("button", name="Materialize all").click()
    # It is there for four seconds; a click would wait until it stands still.
    page.get_by_text("View", exact=True).dispatch_event("click")
    return site.ended(before)


def asset(page: Page, name: str, pattern: str) -> str:
    """Open an asset from the catalog; returns what its page says, once it says that."""
    choose(page, "Catalog")
    page.get_by_text(name.replace("/", " / "), exact=True).or_(page.get_by_text(name, exact=True)).first.click()
    page.get_by_role("tab", name="Checks").or_(page.get_by_role("link", name="Checks", exact=True)).first.wait_for()
    # Metadata stand below the columns, and are drawn when they are looked at.
    metadata = page.get_by_text("Filter metadata keys").or_(page.get_by_placeholder("Filter metadata keys"))
    metadata.first.scroll_into_view_if_needed()
    page.wait_for_timeout(SETTLED_MS)
    return says(page, pattern)


def figure(said: str, name: str) -> int:
    """A number in the table of metadata: its name, when it was made, the number."""
    found = re.search(rf"^{name}\s+[^\n]*[AP]M\s+(\d+)$", said, re.MULTILINE)
    assert found, f"{name} in {said}"
    return int(found[1])


def test_somebody_migrates_the_demo_store_with_the_tutorial_alone(session, page, shot):
    demo, begin, open_ui, decide, open_again, change = commands("tutorial.md")
    assert "Exit code 0" in session.run(demo)
    assert "The target is empty." in session.run(begin)
    site = Site(session.folder / ".demo" / "dagster_home", {}, int(session.settings["UI_PORT"]))

    session.serve(open_ui, f"{site.url}/server_info")
    site.loaded()
    page.goto(site.url)
    shot("t1-first")
    choose(page, "Lineage")
    page.get_by_text("preflight", exact=True).first.wait_for()
    shot("t2-lineage")
    choose(page, "Jobs", "preflight")
    shot("t3-preflight")
    looked = materialize(page, site)
    assert looked["status"] == "FAILURE"
    shot("t4-preflight-run")
    asset(page, "preflight/census", "no_key_opens")
    shot("t5-census")
    choose(page, "Lineage")
    assert materialize(page, site)["status"] == "FAILURE"
    page.get_by_text(re.compile("7 credentials cannot be migrated")).first.wait_for()
    shot("t6-refused")
    page.goto("about:blank")
    session.stop()

    session.run(decide)
    session.serve(open_again, f"{site.url}/server_info")
    site.loaded()
    page.goto(site.url)
    choose(page, "Runs")
    page.get_by_text("Failure").nth(1).wait_for()
    shot("t7-runs")
    choose(page, "Lineage")
    assert materialize(page, site)["status"] == "SUCCESS"
    shot("t8-migrated")
    asset(page, "postgres/credentials", r"^inserted\s+[^\n]*[AP]M\s+33$")
    shot("t9-asset")
    choose(page, "Checks")
    page.get_by_text("secrets_match_source").first.wait_for()
    page.get_by_text("[Show Markdown]").first.click()
    page.get_by_text("Cannot catch.").first.wait_for()
    shot("t10-checks")
    page.keyboard.press("Escape")
    asset(page, "report/migration", "Of 40 credentials in SQLite, 33 are in PostgreSQL and proven")
    shot("t11-report")
    session.run(change)
    choose(page, "Lineage")
    assert materialize(page, site)["status"] == "SUCCESS"
    said = asset(page, "postgres/credentials", r"^updated\s+[^\n]*[AP]M\s+1$")
    shot("t12-updated")
    assert (figure(said, "updated"), figure(said, "inserted")) == (1, 0)
    choose(page, "Jobs", "verify", "Launchpad")
    page.get_by_text("No errors").wait_for()
    before = len(site.runs())
    choose(page, "Launch Run")
    assert site.ended(before)["status"] == "SUCCESS"
    page.goto("about:blank")
