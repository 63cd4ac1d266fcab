"""The runbook of docs/transition-window.md, typed from its first command to its last; its outputs are what comes.

`CREDSTORE_RUNBOOK=write` puts what came into the page.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from credstore_pipeline.core.cutover.cut_over import cut_over
from credstore_pipeline.demo.story import prepare_home
from credstore_pipeline_tests.lab import ROOT, make_lab
from credstore_pipeline_tests.pipeline.flow import flow, source

PAGE = ROOT / "docs" / "transition-window.md"
BLOCK = re.compile(
    r"(?:<!-- runbook: (?P<how>[^>]*) -->\n)?(?:<!-- run: (?P<run>[^>]*) -->\n)?"
    r"```(?P<kind>sh|yaml)\n(?P<text>.*?)```\n(?:```\n(?P<output>.*?)```\n)?",
    re.DOTALL,
)
FORMER, NEW = "the former one", "a new key string"


def the_store_changes(at):
    with source(at) as store:
        store.execute("UPDATE credentials SET description = 'changed' WHERE rowid = 1")


def both_change_a_username(at):
    with source(at) as store:
        store.execute("UPDATE credentials SET username = 'old application' WHERE rowid = 1")
        (changed,) = store.execute("SELECT id FROM credentials WHERE rowid = 1").fetchone()
    at.sql("UPDATE credentials SET username = 'new application' WHERE id = %s", changed)
    flow(at, target_key=FORMER).load()


def it_is_cut_over_again(at):
    run = flow(at, target_key=NEW, further_keys=(FORMER,))
    run.verify()
    cut_over(run.deployment, run.ring, run.run_id, confirm=str(at.store.path), log=run.log.append)


HOOKS = {hook.__name__: hook for hook in (the_store_changes, both_change_a_username, it_is_cut_over_again)}


def lines_of_the_last_run(at):
    """What the run wrote into its log itself, and how its steps failed."""
    with dg.DagsterInstance.from_config(str(at.home)) as instance:
        run = instance.get_runs(limit=1)[0]
        found = []
        for entry in instance.all_logs(run.run_id):
            event = entry.dagster_event
            # That later steps do not run is Dagster's own line.
            if event is None and not entry.user_message.startswith("Dependencies for step "):
                found.append(entry.user_message)
            elif event and event.is_step_failure and event.step_failure_data.user_failure_data:
                found.append(str(event.step_failure_data.user_failure_data.description))
    return "\n".join(found)


def typed(at, text, exports, code):
    """Type a block; give what it prints, with the store's path as the page has it."""
    folder = at.folder / "typed"
    environment = at.environment(
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", COLUMNS="150", FORCE_COLOR=""
    )
    done = subprocess.run(
        ["bash", "-ec", "\n".join([*exports, text])],
        cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-3000:]
    said = lines_of_the_last_run(at) if "dagster job" in text else done.stdout
    shown = said.replace(str(at.store.path), "/data/store.db").replace(str(at.folder), "/srv/credstore")
    return "\n".join(line.rstrip() for line in shown.strip().splitlines())


def alike(text):
    """Without what differs from run to run: numbers, times, ids, and lengths of lines."""
    text = re.sub(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{8}T\d+Z(?:-[0-9a-f]{8})?", "ID", text)
    return re.sub(r"\d+(?:[.,:T+-]\d+)*", "N", re.sub(r"[\s─━]+", " ", text)).strip()


@pytest.mark.ci
def test_the_runbook_prints_what_the_page_says(tmp_path, database):
    at = make_lab(tmp_path, database, "web")
    at.settings |= {"CREDSTORE_TARGET_KEY": FORMER, "CREDSTORE_CONFLICTS": "manual"}
    prepare_home(at.home)
    (at.folder / "typed").mkdir()
    assert at.run("migrate").success
    page, exports, came = PAGE.read_text(), [], {}
    for block in BLOCK.finditer(page, page.index("## Runbook")):
        how, run = block["how"] or "", block["run"] or ""
        if how.startswith("file "):
            text = block["text"].replace("/data/store.db", str(at.store.path))
            (at.folder / "typed" / how.removeprefix("file ")).write_text(text)
            continue
        exports += [line for line in block["text"].splitlines() if line.startswith("export ")]
        if run == "serves":
            continue
        if how.startswith("after "):
            HOOKS[how.removeprefix("after ")](at)
        code = int(run.removeprefix("exit ") or "0")
        came[block.span("output")] = typed(at, block["text"], exports, code)
    if os.environ.get("CREDSTORE_RUNBOOK") == "write":
        for (begin, end), text in reversed(came.items()):
            page = f"{page[:begin]}{text}\n{page[end:]}"
        PAGE.write_text(page)
    wrong = [
        f"{text}\ninstead of\n{page[slice(*at)]}" for at, text in came.items() if alike(text) != alike(page[slice(*at)])
    ]
    assert not wrong or "CREDSTORE_RUNBOOK" in os.environ, "\n\n".join(wrong)
    assert len(came) > 10


def test_every_command_of_the_runbook_is_typed_and_shows_its_output():
    runbook = PAGE.read_text().partition("## Runbook")[2]
    blocks = list(BLOCK.finditer(runbook))
    assert len(blocks) == len(re.findall(r"```(?:sh|yaml)\n", runbook))
    assert all((block["output"] or "").strip() for block in blocks if block["kind"] == "sh")
