import json
import re
import stat
import time

from credstore_pipeline.core.progress import Progress
from credstore_pipeline.core.report import Part, RunReport


def test_every_part_is_on_disk_as_soon_as_it_is_added(tmp_path):
    report = RunReport(tmp_path / "reports", "run-1")
    report.add(Part("backup/snapshot", "done", "Read back.", {"rows": 3}))
    assert json.loads(report.json_path.read_text())["outcome"] == "unfinished"
    report.add(Part("validated", "refused", "validated: 3 rows."))
    assert json.loads(report.json_path.read_text())["outcome"] == "refused"
    assert "# Migration report: refused" in report.markdown_path.read_text()


def test_success_is_said_only_with_the_last_part(tmp_path):
    report = RunReport(tmp_path, "run-1")
    report.add(Part("postgres", "done", "Committed."))
    assert "unfinished" in report.markdown_path.read_text()
    report.add(Part("report/migration", "done", "Every proof held."))
    assert "migrated and proven" in report.markdown_path.read_text()
    report.add(Part("proofs", "failed", "1 proof failed."))
    assert "# Migration report: failed" in report.markdown_path.read_text()


def test_proofs_or_an_operation_alone_are_done_when_their_one_stage_is(tmp_path):
    for stage, word in (("proofs", "done"), ("cut_over", "done"), ("preflight/census", "unfinished")):
        report = RunReport(tmp_path, stage.replace("/", "-"))
        report.add(Part(stage, "done", "Said."))
        assert json.loads(report.json_path.read_text())["outcome"] == word


def test_a_stage_that_is_tried_again_replaces_its_part(tmp_path):
    report = RunReport(tmp_path, "run-1")
    report.add(Part("postgres", "failed", "Lost."))
    report.add(Part("postgres", "done", "Committed."))
    assert [part.text for part in report.parts()] == ["Committed."]


def test_only_the_owner_may_read_it(tmp_path):
    report = RunReport(tmp_path / "reports", "run-1")
    report.add(Part("postgres", "done", "Committed."))
    assert stat.S_IMODE(report.json_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(report.folder.stat().st_mode) == 0o700


def test_names_from_the_store_are_shown_not_run(tmp_path):
    report = RunReport(tmp_path, "run-1")
    report.add(Part("validated", "done", "x", tables={"Tags": [{"id": "<script>|a\nb", "how": "own"}]}))
    text = report.markdown_path.read_text()
    assert "<script>" not in text
    assert "| &lt;script&gt;\\|a b | own |" in text


def test_half_a_surrogate_pair_in_an_id_does_not_stop_the_report(tmp_path):
    report = RunReport(tmp_path, "run-1")
    report.add(Part("validated", "done", "x", tables={"Rows": [{"id": "\udc80"}]}))
    assert "\\udc80" in report.markdown_path.read_text()


def test_progress_says_rows_rate_and_time_left_every_few_seconds():
    now, lines = [0.0], []
    progress = Progress("Opening", 1000, lines.append, every_s=5, clock=lambda: now[0])
    for seconds, rows in ((10, 0), (11, 100), (15, 500), (16, 600), (20, 900)):
        now[0] = seconds
        progress(rows)
    assert lines == [
        "Opening: 500 of 1,000 rows, 100 rows/s, 5 s left",
        "Opening: 900 of 1,000 rows, 90 rows/s, 1 s left",
    ]


def test_by_the_real_clock_a_line_comes_at_each_interval_and_no_oftener():
    lines, began = [], time.monotonic()
    progress = Progress("Opening", 1_000, lines.append, every_s=0.1)
    for done in range(0, 1_000, 20):
        progress(done)
        time.sleep(0.01)
    most = (time.monotonic() - began) / 0.1
    assert 2 <= len(lines) <= most
    for line in lines:
        assert re.fullmatch(r"Opening: [\d,]+ of 1,000 rows, [\d,]+ rows/s, \d+ s left", line), line
