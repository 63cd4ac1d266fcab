"""The core's stages without Dagster around them: what a run does, a second faster, and one stage at a time."""

import base64
import hashlib
import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet

from credstore_pipeline.core.deployment import Deployment, KeyMaterial, Places, Policies, Source, Target
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.keys.ring import KeyRing, build_ring
from credstore_pipeline.core.load.transaction import Cargo, Loaded, load
from credstore_pipeline.core.passing import cargo_of, validated_rows
from credstore_pipeline.core.proofs.outcome import final_proofs
from credstore_pipeline.core.proofs.prove import prove
from credstore_pipeline.core.sync.unchanged import mark_proven
from credstore_pipeline.core.taking import take
from credstore_pipeline.core.validation.gates import Verdict
from credstore_pipeline.core.validation.validate import Validated
from credstore_pipeline.demo.stores import load_store
from credstore_pipeline_tests.lab import Lab, make_lab

TARGET_KEY = "a made-up target key"
LENIENT = Policies(max_quarantined=1000, max_quarantined_links=1000, lock_wait_s=0.5, max_downtime_s=3600)


@dataclass
class Flow:
    """One run of the core on a lab.

    Attributes:
        lab: Whose store and database.
        deployment: As settings would make it.
        ring: Its keys.
        run_id: A new one each.
        log: What the load said.
    """

    lab: Lab
    deployment: Deployment
    ring: KeyRing
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    log: list[str] = field(default_factory=list)

    def snapshot(self) -> Frame:
        """Take the snapshot."""
        return take(self.deployment, self.ring, self.run_id).frame

    def validated(self, snapshot: Frame) -> Validated:
        """Extract, judge and validate what the snapshot holds."""
        return validated_rows(self.deployment, self.ring, self.run_id, snapshot)

    def cargo(self, snapshot: Frame | None = None) -> Cargo:
        """Everything up to the load, on a snapshot taken before or on a new one."""
        taken = snapshot or self.snapshot()
        result = self.validated(taken)
        for gate in (result.accounted, result.allowed):
            assert gate.passed, gate.text
        return cargo_of(result.frames, result.quarantine, taken, self.ring)

    def load(self, cargo: Cargo | None = None) -> Loaded:
        """Load a cargo, or everything anew."""
        loaded = load(self.deployment, self.ring, self.run_id, cargo or self.cargo(), log=self.log.append)
        if self.deployment.policies.whole_pass_below == 0:
            self.finish()
        return loaded

    def finish(self) -> dict[str, Verdict]:
        """Verify, and record that every proof held."""
        found = self.verify()
        if not any(verdict.fatal and not verdict.passed for verdict in found.values()):
            mark_proven(self.deployment, self.run_id)
        return found

    def prove(self) -> dict[str, Verdict]:
        """The final proofs."""
        return prove(self.deployment, self.ring, self.run_id)

    def verify(self) -> dict[str, Verdict]:
        """The final proofs as the job makes them, and what they came to kept."""
        return final_proofs(self.deployment, self.ring, self.run_id)

    def red(self) -> dict[str, str]:
        """The final proofs that fail: name -> text."""
        return {name: found.text for name, found in self.prove().items() if not found.passed and found.fatal}

    @property
    def tried_again(self) -> bool:
        """Whether the load was retried."""
        return any("tried again" in line for line in self.log)


def flow(
    lab: Lab,
    *,
    target: Target | None = None,
    target_key: str = TARGET_KEY,
    further_keys: tuple[str, ...] = (),
    **policies: Any,
) -> Flow:
    """A new run on the lab with the store's own keys; lenient on quarantine unless told otherwise."""
    told, folder = lab.store.env, lab.store.folder
    keys = KeyMaterial(
        target_key=target_key,
        application_key=told.get("encryption_key"),
        source_keys=(*told.get("source_keys", ()), *further_keys),
        key_dir=folder / told["key_dir"] if told.get("key_dir") else None,
        key_backup=folder / told["key_backup"] if told.get("key_backup") else None,
        key_backup_password=told.get("key_backup_password"),
    )
    lab.home.mkdir(exist_ok=True)
    places = Places(lab.home, lab.snapshots, str(lab.home / "staging"), lab.home / "reports")
    deployment = Deployment(Source(lab.store.path), target or lab.database, keys, replace(LENIENT, **policies), places)
    return Flow(lab, deployment, build_ring(keys))


_TEMPLATES: dict[str, Lab] = {}


def already(
    name: str, flavour: str, build: Callable[[Lab], object], administrator: sa.Engine, database: Target, folder: Path
) -> Lab:
    """A lab of the test's own on which `build` has been at work: really once for all tests, then copied.

    Args:
        name: Names what `build` does.
        flavour: Of the store.
        build: Loads, say.
        administrator: Of the server.
        database: The test's own; anything in it is lost.
        folder: The test's own, empty.
    """
    template = f"template_{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with administrator.connect() as connection:
        if name not in _TEMPLATES:
            # A test that failed at this may have left the beginnings of one.
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {template} WITH (FORCE)")
            connection.exec_driver_sql(f"CREATE DATABASE {template} TEMPLATE template0 STRATEGY FILE_COPY")
            kept = folder.parent / template
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            made = make_lab(kept, replace(database, url=database.url.set(database=template)), flavour)
            build(made)
            _TEMPLATES[name] = made
        own = database.url.database
        connection.exec_driver_sql(f"DROP DATABASE {own} WITH (FORCE)")
        connection.exec_driver_sql(f"CREATE DATABASE {own} TEMPLATE {template} STRATEGY FILE_COPY")
    shutil.copytree(_TEMPLATES[name].folder, folder, dirs_exist_ok=True)
    return Lab(folder, database, load_store(folder / "store"))


@contextmanager
def source(lab: Lab) -> Iterator[sqlite3.Connection]:
    """The legacy store, to be written to as its application would."""
    connection = sqlite3.connect(lab.store.path)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


@contextmanager
def session(target: Target) -> Iterator[sa.Connection]:
    """A session of the application's on the target, in a transaction that ends with the block."""
    engine = sa.create_engine(target.url, poolclass=sa.NullPool)
    with engine.connect() as connection, connection.begin():
        yield connection


def content(lab: Lab, key: str = TARGET_KEY, schema: str = "public") -> dict[str, dict[str, Any]]:
    """What the target says, whatever the ciphertext: `table id` -> its row, the password opened under the key."""
    found: dict[str, dict[str, Any]] = {}
    for table in TABLES:
        for (row,) in lab.sql(f'SELECT to_jsonb(t) FROM "{schema}".{table} t'):
            if row.get("password"):
                row["password"] = opened(row["password"], key)
            found[f"{table} {row['id']}"] = row
    return found


def born(lab: Lab, ddl: str, schema: str = "public") -> None:
    """Make the application's tables."""
    lab.sql(ddl.replace("{schema}", f'"{schema}"'))


def rows_by_id(lab: Lab, table: str) -> dict[str, list[Any]]:
    """Rows as they stand, to the byte, each with the transaction that wrote it."""
    return {row_id: row for row_id, *row in lab.sql(f"SELECT t.id, t.xmin::text, t::text FROM public.{table} t")}


def catalog(lab: Lab) -> list[tuple[Any, ...]]:
    """Everything that an ALTER could have changed."""
    return lab.sql(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace UNION ALL "
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL "
        "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod) || attnotnull "
        "FROM pg_attribute JOIN pg_class c ON c.oid = attrelid AND relkind = 'r' AND attnum > 0 "
        "AND relnamespace = 'public'::regnamespace ORDER BY 1, 2, 3"
    )


def in_source(lab: Lab) -> dict[str, dict[str, Any]]:
    """What a store whose every row can be loaded as it stands becomes, in the form of `content`."""
    found: dict[str, dict[str, Any]] = {}
    passwords = {row["id"]: row["password"] for row in lab.store.expected["credentials"]}
    with source(lab) as connection:
        connection.row_factory = sqlite3.Row
        for table in TABLES:
            for row in map(dict, connection.execute(f"SELECT * FROM {table}")):
                for name, value in row.items():
                    if name.endswith(("_at", "last_used", "last_success", "last_failure")) and value:
                        row[name] = value.replace(" ", "T").rstrip("0").rstrip(".")
                if table == "credentials":
                    row |= {"password": passwords[row["id"]], "use_keys": bool(row["use_keys"])}
                found[f"{table} {row['id']}"] = row
    return found


def opened(stored: str, key: str = TARGET_KEY) -> str:
    """The password in an envelope `default` under the key string; raises on any other form."""
    envelope = json.loads(stored)
    assert list(envelope) == ["key_id", "encrypted_data", "version"]
    assert envelope["key_id"] == "default"
    return _fernet(key).decrypt(base64.b64decode(envelope["encrypted_data"], validate=True)).decode()


def sealed(password: str, key: str = TARGET_KEY) -> str:
    """The password in an envelope `default` under the key string, as the application writes it."""
    token = base64.b64encode(_fernet(key).encrypt(password.encode())).decode()
    return json.dumps({"key_id": "default", "encrypted_data": token, "version": "1.0"})


def token(password: str, key: str = TARGET_KEY) -> str:
    """The password in a bare token under the key string."""
    return _fernet(key).encrypt(password.encode()).decode()


def _fernet(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))
