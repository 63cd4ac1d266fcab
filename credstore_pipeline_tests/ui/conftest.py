"""A UI on a store full of canaries, and a browser that notes what it gets."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page

from credstore_pipeline.demo.story import prepare_home
from credstore_pipeline.embedded import EmbeddedServer
from credstore_pipeline_tests.conftest import drop_database
from credstore_pipeline_tests.leaks import canaries
from credstore_pipeline_tests.ui.site import SETTLED_MS, Noted, Site, browser

DATABASE = "test_of_the_ui"
SHOTS = "CREDSTORE_SCREENSHOTS"
"""Names the folder that keeps what the browser saw."""


@pytest.fixture(scope="module")
def site(
    postgres: EmbeddedServer, administrator: sa.Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A UI that is not started yet, with settings under which the first run is refused."""
    folder = tmp_path_factory.mktemp("ui")
    store = canaries.aviary(folder / "store")
    prepare_home(folder / "home")
    with administrator.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {DATABASE} TEMPLATE template0"))
    url = postgres.url(DATABASE)
    settings = {
        **store.environment(),
        **canaries.settings(),
        "CREDSTORE_POSTGRES_URL": url.render_as_string(hide_password=False),
        "CREDSTORE_BACKUP_DIR": str(folder / "snapshots"),
        # A tick each minute, and none that may run.
        "CREDSTORE_RESYNC_CRON": "* * * * *",
        "CREDSTORE_WINDOW_START": "2100-01-01T00:00:00+00:00",
    }
    made = Site(folder / "home", settings)
    yield made
    made.stop()
    drop_database(administrator, DATABASE)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all pages."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def noted() -> Noted:
    """What all pages of this module got and did."""
    return Noted()


@pytest.fixture
def page(chromium: Browser, noted: Noted) -> Iterator[Page]:
    """A page whose every request and answer is noted."""
    opened = noted.watch(chromium.new_page(viewport={"width": 1500, "height": 1100}, locale="en-US"))
    yield opened
    opened.close()


@pytest.fixture
def shot(page: Page, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keep what the page looks like, where the folder is named."""

    def keep(name: str, *, whole: bool = False) -> None:
        if os.environ.get(SHOTS):
            folder = Path(os.environ[SHOTS])
            folder.mkdir(parents=True, exist_ok=True)
            page.wait_for_timeout(SETTLED_MS)
            # Addresses of this machine's files say nothing to anybody else.
            here = [page.get_by_text(re.compile(r"^(file://)?/\w+/\w"))]
            page.screenshot(path=folder / f"{name}.png", full_page=whole, mask=here, mask_color="#eceff3")

    return keep
