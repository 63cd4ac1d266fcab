"""What the UI is given: labels, columns, lineage, numbers, tables and pictures; and never a value."""

import base64

import dagster as dg
import pytest

from credstore_pipeline.assets.columns import OWNERS, lineage, loaded
from credstore_pipeline.assets.labels import LABELS
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.definitions import defs
from credstore_pipeline_tests.lab import ALLOW_ALL

GRAPH = defs.resolve_asset_graph()
MADE = sorted(key.to_user_string() for key in GRAPH.get_all_asset_keys() - GRAPH.external_asset_keys)
PLACES = ("extracted", "validated", "postgres")


def node(asset):
    return GRAPH.get(dg.AssetKey(asset.split("/")))


@pytest.mark.parametrize("asset", MADE)
def test_each_asset_says_where_it_comes_from_and_who_may_read_it(asset):
    assert asset in LABELS
    assert "**From.**" in node(asset).description
    assert "**May be read by.**" in node(asset).description
    assert node(asset).owners == OWNERS
    assert node(asset).kinds
    assert node(asset).tags["holds"] == LABELS[asset].holds


def test_no_label_is_left_over():
    assert set(LABELS) == set(MADE)


@pytest.mark.parametrize("asset", [f"{place}/{table}" for place in PLACES for table in TABLES])
def test_each_table_says_its_columns_and_what_they_mean(asset):
    columns = node(asset).metadata["dagster/column_schema"].columns
    assert len(columns) >= 6
    assert all(column.description for column in columns)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("place", ["validated", "postgres"])
def test_each_column_says_which_one_it_comes_from_and_that_one_exists(place, table):
    deps = lineage(place, table)["dagster/column_lineage"].deps_by_column
    assert set(deps) == {column.name for column in loaded(table).columns}
    for found in deps.values():
        for dep in found:
            upstream = node(dep.asset_key.to_user_string()).metadata["dagster/column_schema"]
            assert dep.column_name in {column.name for column in upstream.columns}


def test_a_run_leaves_numbers_tables_and_pictures(lab):
    at = lab("mixed")
    run = at.run(**ALLOW_ALL)
    assert run.success, run.failure
    for asset in ("backup/snapshot", *(f"{place}/{table}" for place in PLACES for table in TABLES), "report/migration"):
        told = run.metadata(asset)
        assert told["seconds"] >= 0, asset
        assert told["rows_per_s"] >= 0, asset
    assert "dagster/column_lineage" in run.metadata("postgres/credentials")
    census, report = run.metadata("preflight/census"), run.metadata("report/migration")
    for picture in (
        census["census_picture"],
        report["source_and_target"],
        report["time_by_stage"],
        report["drift"],
    ):
        head, _, data = picture.partition("base64,")
        assert head.endswith("](data:image/png;")
        assert base64.b64decode(data.rstrip(")")).startswith(b"\x89PNG")
        # The event log keeps it for each run.
        assert len(picture) < 60_000
    checks = [event.asset_check_evaluation_data for event in run.events if "docs" in str(event.event_specific_data)]
    docs = {found.check_name: found.metadata["docs"].value for found in checks if hasattr(found, "check_name")}
    assert len(docs) >= 10
    for name, text in docs.items():
        assert [f"**{head}.**" in text for head in ("Proves", "Cannot catch", "When red")] == [True] * 3, name
        assert "](" not in text, f"{name}: a link that leads nowhere in the UI"
    # A browser follows no file:// from a page of the UI: nothing may look as if it did.
    values = [entry.value for event in run.events if event.is_step_materialization
              for entry in event.materialization.metadata.values()]  # fmt: skip
    assert [value for value in values if isinstance(value, str) and value.startswith("file:")] == []
    assert isinstance(report["page"], str) and report["page"].endswith("/report.html")
