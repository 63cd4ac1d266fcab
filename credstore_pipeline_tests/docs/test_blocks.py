"""Which command blocks of the pages are run, and which are not, for which reason."""

import re

from credstore_pipeline.reference.pages import pages
from credstore_pipeline_tests.docs import test_pages
from credstore_pipeline_tests.docs.blocks import ROOT, blocks
from credstore_pipeline_tests.ui import test_tutorial

ALL = [block for page in pages(ROOT) for block in blocks(page, "sh", "sql")]
RUN_BY = {**test_pages.RUN, "tutorial.md": test_tutorial.test_somebody_migrates_the_demo_store_with_the_tutorial_alone}


def test_every_command_block_is_run_by_a_test_or_says_why_not():
    fences = sum(
        len(re.findall(r"^ *```(?:sh|sql|bash|console|shell)$", page.read_text(), re.M)) for page in pages(ROOT)
    )
    assert len(ALL) == fences
    assert {block.page for block in ALL if not block.not_run} <= set(RUN_BY)


def test_what_is_not_run_is_this_and_nothing_else():
    assert {(block.page, " ".join(block.text.split()[:3]), block.not_run) for block in ALL if block.not_run} == {
        ("README.md", "make demo", "the tutorial runs it"),
        ("containers.md", "docker compose up", "it takes a container engine"),
        ("containers.md", "docker compose exec", "it takes a container engine"),
        ("containers.md", "export CREDSTORE_LEGACY_GID=$(stat -c", "it takes a container engine"),
        ("containers.md", "docker build -f", "it takes a container engine"),
    }
