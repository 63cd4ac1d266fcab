import hashlib
import json
import re
import stat

import pytest

from credstore_pipeline.core.report import Part, RunReport
from credstore_pipeline.report.page import render, write_page
from credstore_pipeline.report.told import Told
from credstore_pipeline_tests.report.outline import Outline, said

SCRIPT = "<script>alert(1)</script>"

CENSUS = [
    {"encoding": "plaintext", "key_id": "", "derivation": "", "wrapped": "no", "verdict": "opened", "rows": 2},
    {"encoding": "envelope", "key_id": SCRIPT, "derivation": "file", "wrapped": "once", "verdict": "opened", "rows": 3},
    {"encoding": "token", "key_id": "", "derivation": "", "wrapped": "no", "verdict": "undecryptable", "rows": 1},
]


def whole():
    """A run in which everything that a part can say is hostile markup."""
    figures = {"rows": 6, "opened": 5}
    tables = {"Census": CENSUS, "Target": [{"asked": "server", "found": f"PostgreSQL at {SCRIPT}"}]}
    stays = {"source_table": "credentials", "reason": "undecryptable_secret", "rows": 1}
    return Told(
        "run-1",
        (
            Part("preflight/census", "warning", f"3 of {SCRIPT}", figures, tables, seconds=1.5),
            Part(
                "validated",
                "done",
                SCRIPT,
                {SCRIPT: 1},
                {
                    "Quarantine by reason": [stays],
                    "Quarantined rows": [{"source_id": SCRIPT, "detail": "no key opens it"}],
                    "Tags mapped": [{"source_id": SCRIPT, "target_id": "x"}],
                    SCRIPT: [{SCRIPT: SCRIPT}],
                },
            ),
        ),
    )


def test_markup_from_the_store_is_shown_and_never_run():
    page = render(whole(), [], "")
    assert SCRIPT not in page
    outline = Outline(page)
    assert "script" not in {tag for tag, _ in outline.tags}
    assert SCRIPT in "".join(outline.text)


def test_the_page_needs_no_network():
    tags = Outline(
        render(
            whole(),
            [{"ended": "2026-01-01T00:00:00", "rows behind": 1, "quarantined": 0, "conflicts waiting": 0}] * 2,
            "",
        )
    ).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "iframe", "object", "embed", "img"})
    leads = [
        value for _, attrs in tags for name, value in attrs.items() if name in ("src", "href", "xlink:href", "action")
    ]
    assert leads
    assert [value for value in leads if not value.startswith(("#", "data:,"))] == []
    policy = [attrs["content"] for tag, attrs in tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_the_page_can_be_read_aloud():
    """Headings without gaps, ids once, tables with captions and scoped headings, no picture without its numbers."""
    outline = Outline(render(whole(), [], ""))
    assert outline.open == []
    assert outline.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    assert len(outline.ids) == len(set(outline.ids))
    tags = [tag for tag, _ in outline.tags]
    assert tags.count("table") == tags.count("caption")
    assert all("scope" in attrs for tag, attrs in outline.tags if tag == "th")
    assert tags.count("figure") == tags.count("figcaption") == 2
    labelled = {attrs["aria-labelledby"] for _, attrs in outline.tags if "aria-labelledby" in attrs}
    assert labelled <= set(outline.ids)
    leads = {attrs["href"][1:] for tag, attrs in outline.tags if tag == "a"}
    assert leads <= set(outline.ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_in_dark(scheme):
    """At least 4.5 to 1, WCAG's level AA, on each of the page's grounds."""
    style = re.findall(r"<style>(.*?)</style>", render(whole(), [], ""), re.DOTALL)[0]
    block = style.split("prefers-color-scheme: dark")[1 if scheme == "dark" else 0]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block.split("@media print")[0]))
    for text, grounds in {
        "ink": ("paper", "panel", "good-panel", "note-panel", "bad-panel"),
        "soft": ("paper", "good-panel", "note-panel", "bad-panel"),
        "first": ("paper",),
        "good": ("paper",),
        "note": ("paper",),
        "bad": ("paper",),
    }.items():
        for ground in grounds:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_refused_run_says_first_what_is_wrong_and_what_to_do():
    told = Told("run-1", (Part("validated", "refused", "validated: 3 credentials cannot be migrated.\nAdd keys."),))
    text = " ".join("".join(Outline(render(told, [], "")).text).split())
    assert text.index("Refused The run ended at validated. validated: 3 credentials") < text.index("Promises")
    assert text.index("Why it ended, and what to do") < text.index("Add keys.") < text.index("Nothing is lost")
    assert "Nothing is lost: broken" in text
    assert "Green means done: not reached" in text


def test_a_check_that_proves_no_promise_is_told_beside_them():
    row = {"proof": "rows_not_ours", "holds": "note", "found": "3 rows are the application's."}
    told = Told("run-1", (Part("proofs", "done", "Every proof holds.", {}, {"Proofs": [row]}),))
    text = said(render(told, [], ""))
    assert "Beside the promises: noted" in text
    assert "3 rows are the application's." in text


def test_an_operation_says_what_it_did():
    told = Told("run-1", (Part("cut_over", "done", "The store was cut over.\nMore.", {"frozen_s": 1.2}),))
    assert "Done The store was cut over. Run" in said(render(told, [], ""))


def test_each_quarantined_reason_comes_with_what_to_do():
    text = "".join(Outline(render(whole(), [], "")).text)
    assert "Add the missing key to CREDSTORE_SOURCE_KEYS" in text


def test_it_is_written_beside_the_json_and_names_its_digest(tmp_path):
    report = RunReport(tmp_path, "run-1")
    report.add(Part("backup/snapshot", "done", "Read back.", {"rows": 3}))
    write_page(report)
    page = report.html_path.read_text()
    assert hashlib.sha256(report.json_path.read_bytes()).hexdigest() in page
    assert stat.S_IMODE(report.html_path.stat().st_mode) == 0o600


def test_every_stage_says_how_long_it_took(tmp_path):
    report = RunReport(tmp_path, "run-1", began=0.0)
    report.add(Part("backup/snapshot", "done", "Read back."))
    assert json.loads(report.json_path.read_text())["parts"][0]["seconds"] > 0


def test_what_is_left_to_do_is_one_click_from_the_outcome():
    def leads(told):
        box = render(told, [], "").partition('role="status"')[2].partition("</div>")[0]
        return re.findall(r'href="#([a-z]+)"', box)

    refused = Told("run-1", (Part("validated", "refused", "validated: 3 rows. The target is unchanged."),))
    done = Told("run-1", (Part("report/migration", "done", "Every proof held."),))
    assert (leads(refused), leads(whole()), leads(done)) == (["stopped"], ["behind"], [])
    for told, place in ((refused, "stopped"), (whole(), "behind")):
        assert place in Outline(render(told, [], "")).ids


def test_times_are_written_for_people():
    part = Part("proofs", "done", "Every proof holds.", at="2026-11-22T21:05:42+00:00")
    page = said(render(Told("run-1", (part,)), [], ""))
    assert "ended 2026-11-22 21:05:42 UTC" in page
