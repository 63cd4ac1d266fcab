"""The UI as a new user meets it, in order: refused, mended, migrated, verified, seeded, scheduled; nothing leaked.

The tests build on one another, as the clicks of one evening do.
"""

import contextlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import expect

from credstore_pipeline_tests.lab import ALLOW_ALL
from credstore_pipeline_tests.leaks.canaries import needles, search, search_folder
from credstore_pipeline_tests.ui.site import GROUPS, SETTLED_MS, SHOWN_MS, materialize_all, says

pytestmark = pytest.mark.ci

JOBS = "/locations/credstore_pipeline/jobs"
CHECKS_AT_THE_END = (
    "row_counts_match",
    "secrets_match_source",
    "no_plaintext_at_rest",
    "application_can_read",
    "rows_not_ours",
)


def test_a_run_that_is_refused_says_why_where_a_person_looks_first(site, page, noted, shot):
    site.start()
    materialize_all(page, f"{site.url}/asset-groups")
    run = site.ended(0)
    assert run["status"] == "FAILURE"
    page.goto(f"{site.url}/runs/{run['runId']}")
    page.get_by_text(re.compile("cannot be migrated")).first.wait_for()
    text = noted.keep(page)
    assert re.search(r"validated: \d+ credentials cannot be migrated, 0 allowed \(CREDSTORE_MAX_QUARANTINED\)", text)
    assert "The target is unchanged." in text
    shot("refused")
    page.goto(f"{site.url}/assets/quarantine/rows?view=checks&checkDetail=quarantine_is_allowed")
    page.get_by_text("quarantine_is_allowed").first.wait_for()
    noted.keep(page)
    shot("refused-check")
    # A page that is left open complains when the UI is gone.
    page.goto("about:blank")
    site.stop()


def test_the_graph_reads_as_the_flow(site, page, noted, shot):
    site.start(**ALLOW_ALL)
    page.goto(f"{site.url}/asset-groups")
    page.get_by_role("button", name="Materialize all").wait_for()
    for group in GROUPS:
        # Once in the list of groups, once in the graph.
        page.get_by_text(group, exact=True).locator("visible=true").nth(1).wait_for()
    page.wait_for_timeout(SETTLED_MS)
    noted.keep(page)
    left = {}
    for group in GROUPS:
        boxes = [found.bounding_box() for found in page.get_by_text(group, exact=True).all()]
        # The list of groups stands left of the graph.
        left[group] = max(box["x"] for box in boxes if box)
    assert sorted(left, key=left.get) == list(GROUPS)
    shot("graph")


def test_materialize_all_runs_green(site, page, noted, shot):
    materialize_all(page, f"{site.url}/asset-groups")
    run = site.ended(1)
    assert run["status"] == "SUCCESS"
    page.goto(f"{site.url}/runs/{run['runId']}")
    page.get_by_text("Success").first.wait_for()
    page.wait_for_timeout(SETTLED_MS)
    noted.keep(page)
    shot("run")


def test_an_asset_says_what_it_is_and_shows_its_numbers_and_tables(site, page, noted, shot):
    page.goto(f"{site.url}/assets/preflight/census")
    page.get_by_text("rows_per_s").first.wait_for()
    for said in ("From.", "May be read by.", "credential-store", "pandas", "holds: sealed", "census", "encoding"):
        says(page, re.escape(said))
    noted.keep(page)
    shot("census")
    page.get_by_role("button", name="Plots").click()
    page.wait_for_timeout(SETTLED_MS)
    noted.keep(page)
    assert page.locator("canvas, svg").count() > 0
    shot("census-plots")


def test_a_table_shows_its_columns_and_where_each_comes_from(site, page, noted, shot):
    page.goto(f"{site.url}/assets/postgres/credentials")
    page.get_by_text("The password, always sealed; never shown anywhere.").wait_for()
    text = noted.keep(page)
    assert "varchar(1024)" in text
    assert "non-nullable" in text
    shot("columns")
    lineage = site.ask(
        "query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { "
        "assetMaterializations(limit: 1) { metadataEntries { ... on TableColumnLineageMetadataEntry { "
        "lineage { columnName columnDeps { assetKey { path } columnName } } } } } } } }",
        key={"path": ["postgres", "credentials"]},
    )["assetNodeOrError"]["assetMaterializations"][0]["metadataEntries"]
    origin = {row["columnName"]: row["columnDeps"] for entry in lineage for row in entry.get("lineage", [])}
    assert origin["password"] == [{"assetKey": {"path": ["validated", "credentials"]}, "columnName": "password"}]
    page.goto(f"{site.url}/assets/postgres/credentials?view=lineage&lineageScope=upstream")
    page.get_by_text("validate").first.wait_for()
    noted.keep(page)
    shot("lineage")


def test_checks_show_their_results_claims_and_documentation(site, page, noted, shot):
    page.goto(f"{site.url}/assets/postgres/credentials?view=checks")
    page.get_by_text("secrets_match_source").first.wait_for()
    text = noted.keep(page)
    assert [name for name in CHECKS_AT_THE_END if name not in text] == []
    shot("checks")
    page.goto(f"{site.url}/assets/postgres/credentials?view=checks&checkDetail=secrets_match_source")
    page.get_by_text("[Show Markdown]").first.click()
    for said in ("Proves.", "Cannot catch.", "When red."):
        page.get_by_text(said).first.wait_for()
    noted.keep(page)
    shot("check-docs")
    page.keyboard.press("Escape")


@pytest.mark.parametrize(
    ("asset", "name", "words"),
    [
        ("preflight/census", "census_picture", "How passwords are stored"),
        ("report/migration", "source_and_target", "SQLite beside PostgreSQL"),
        ("report/migration", "time_by_stage", "Time by stage"),
        ("report/migration", "drift", "Drift from run to run"),
    ],
)
def test_pictures_are_shown_in_the_metadata(site, page, noted, shot, asset, name, words):
    page.goto(f"{site.url}/assets/{asset}")
    page.get_by_text(name, exact=True).first.wait_for()
    page.locator("tr", has=page.get_by_text(name, exact=True)).last.get_by_text("[Show Markdown]").click()
    picture = page.locator(f"img[alt='{words}']")
    picture.wait_for()
    assert picture.evaluate("picture => picture.naturalWidth") > 400
    noted.keep(page)
    shot(f"picture-{name.replace('_', '-')}")


def test_the_report_is_named_there_and_opens_without_network_or_complaint(site, page, noted, shot):
    page.goto(f"{site.url}/assets/report/migration")
    path = page.get_by_text(re.compile(r"^/.*report\.html$")).first
    path.wait_for()
    # Nothing looks like a link and does nothing: a browser opens no file from a page of the UI.
    assert page.locator("a[href^='file:']").count() == 0
    copied = path.inner_text().strip()
    before = len(noted.complaints)
    page.goto(f"file://{copied}")
    assert "Migrated and proven" in noted.keep(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot("report")
    shot("report-whole", whole=True)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "on a telephone"
    page.set_viewport_size({"width": 1500, "height": 1100})
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    shot("report-dark")
    page.emulate_media(color_scheme="light")
    assert dark != page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert noted.complaints[before:] == []


@pytest.mark.parametrize("job", ["preflight", "seed_default_credentials", "verify"])
def test_a_job_is_launched_from_the_launchpad_which_has_no_place_for_a_secret(site, page, noted, shot, job):
    before = len(site.runs())
    if job == "verify":
        page.goto(f"{site.url}{JOBS}/{job}/playground")
    else:
        # A job of assets has its Launchpad behind the arrow of its button.
        page.goto(f"{site.url}{JOBS}/{job}")
        page.get_by_role("button", name="Materialize all").locator("xpath=following::button[1]").click()
        page.get_by_text("Open launchpad").click()
    page.get_by_text("No errors").wait_for()
    text = noted.keep(page)
    # Fields of the run config end in a colon; a description may speak of passwords.
    assert re.findall(r"(?i)\w*(?:password|secret|key|token)\w*\??:", text) == []
    shot("launchpad" if job == "verify" else f"launchpad-{job}")
    page.get_by_role("button", name="Launch Run" if job == "verify" else "Materialize").last.click()
    run = site.ended(before)
    assert (run["jobName"], run["status"]) == (job, "SUCCESS")


@pytest.mark.parametrize(
    ("job", "written", "said"),
    [
        ("verify", "ops:\n  proofs:\n    confg: {}", "Received unexpected config entr"),
        ("cutover", "ops:\n  cut_over:\n    config:\n      block_writers: true", "Missing required config entry"),
        ("cutover", "ops:\n  cut_over:\n    config:\n      confirm: /x\n      archive: perhaps", "Invalid scalar"),
    ],
    ids=["an unknown name", "a missing confirmation", "a word for a switch"],
)
def test_a_wrong_run_config_is_explained_before_the_run_starts(site, page, noted, shot, job, written, said):
    before = len(site.runs())
    page.goto(f"{site.url}{JOBS}/{job}/playground")
    page.get_by_text("CONFIG ACTIONS").wait_for()
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    # As a whole: the editor indents by itself what is typed.
    page.keyboard.insert_text(written)
    page.get_by_text(re.compile(said)).first.wait_for()
    expect(page.get_by_role("button", name="Launch Run")).to_be_disabled(timeout=SHOWN_MS)
    noted.keep(page)
    shot("launchpad-error")
    assert len(site.runs()) == before


def test_the_schedule_is_switched_on_and_its_tick_says_why_it_skips(site, page, noted, shot):
    page.goto(f"{site.url}/locations/credstore_pipeline/schedules/resync_schedule")
    page.get_by_text("Execution timezone").wait_for()
    switch = page.locator("input[type=checkbox]").first
    assert not switch.is_checked()
    switch.locator("xpath=..").click()
    skipped = page.get_by_text("0 runs requested").first
    skipped.wait_for(timeout=400_000)
    reason = page.get_by_text("The window is not open yet: it opens at 2100-01-01").first
    for _ in range(10):
        # The table is drawn anew now and then, under a pointer that rests.
        page.mouse.move(0, 0)
        skipped.hover()
        with contextlib.suppress(PlaywrightTimeout):
            reason.wait_for(timeout=3_000)
            break
    reason.wait_for()
    noted.keep(page)
    shot("schedule")
    found = site.ask(
        '{ scheduleOrError(scheduleSelector: {repositoryName: "__repository__", repositoryLocationName: '
        '"credstore_pipeline", scheduleName: "resync_schedule"}) { ... on Schedule { scheduleState { status '
        "ticks(limit: 1, statuses: [SKIPPED]) { status skipReason } } } } }"
    )["scheduleOrError"]["scheduleState"]
    assert found["status"] == "RUNNING"
    assert "2100" in found["ticks"][0]["skipReason"]


def test_pages_answers_and_logs_hold_nothing_secret_and_nothing_left_the_machine(site, page, noted):
    runs = site.runs()
    assert len(runs) >= 5
    for run in runs:
        noted.bodies.append((f"debug file of {run['jobName']}", site.debug_file(run["runId"])))
    page.goto(f"{site.url}/runs/{runs[0]['runId']}?selection=*&logs=&tab=STDERR")
    page.wait_for_timeout(SETTLED_MS)
    noted.keep(page)
    wanted = needles()
    read = sum(len(body) for _, body in noted.bodies)
    assert read > 500_000, "too little was seen for the search to mean anything"
    found = [leak for place, body in noted.bodies for leak in search(body, place, wanted)]
    found += search((site.home.parent / "ui.log").read_bytes(), "the UI's own log", wanted)
    # Compute logs, reports and the event log, as the UI would hand them out.
    found += search_folder(site.home, wanted)
    assert found == []
    assert {host for host in noted.hosts if not host.startswith("127.0.0.1:")} == set()
    assert noted.complaints == []


def test_the_canaries_are_really_in_the_store_that_was_migrated(site):
    """Else the search above would find nothing however much leaked."""
    stored = Path(site.settings["CREDSTORE_SQLITE_PATH"]).read_bytes()
    assert search(stored, "the store", needles())
