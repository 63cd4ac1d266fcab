"""docs/store.md is held against the code."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import credstore_pipeline.store as package
from credstore_pipeline.core import errors
from credstore_pipeline.core.target.indexes import INDEXES
from credstore_pipeline.store import CredentialStore, StoreSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "store.md").read_text()


def test_every_operation_is_described_with_its_arguments():
    told = dict(re.findall(r"^\| `(\w+)\((.*?)\)` \|", PAGE.partition("## Order")[0], re.MULTILINE))
    public = {name: one for name, one in inspect.getmembers(CredentialStore, callable) if not name.startswith("_")}
    assert set(told) == set(public)
    for name, arguments in told.items():
        assert [*filter(None, arguments.split(", "))] == list(inspect.signature(public[name]).parameters)[1:], name


def test_the_constructor_is_as_described():
    told = re.search(r"`CredentialStore\((db_url=None.*?)\)`", PAGE)[1].replace("*, ", "")
    names = [part.split("=")[0] for part in told.split(", ")]
    assert [*names, "sleep"] == list(inspect.signature(CredentialStore).parameters)


def test_every_setting_is_described_with_its_default():
    told = dict(re.findall(r"^\| `(\w+)` \| `?(.+?)`? \| ", PAGE.partition("## Settings")[2], re.MULTILINE))
    assert {one.name: str(one.default) for one in fields(StoreSettings)}.items() <= told.items()


def test_every_error_is_one():
    told = re.findall(r"^\| `(\w+)` \| ", PAGE.partition("## Errors")[2], re.MULTILINE)
    assert len(told) > 10
    for name in told:
        assert issubclass(getattr(package, name, None) or getattr(errors, name), errors.CredstoreError)
    raised = {
        name
        for name in package.__all__
        if inspect.isclass(one := getattr(package, name)) and issubclass(one, Exception)
    }
    assert raised - {"CredstoreError"} <= set(told)


def test_the_indexes_are_named():
    assert all(f"`{name}`" in PAGE for name in INDEXES)
