"""The program behind `make demo`: one migration as an operator meets it, on a made-up store, told step by step."""

import shlex
import shutil
import time
from importlib import resources
from pathlib import Path

from credstore_pipeline.demo.commands import MATERIALIZE, MODULE, CommandLine, Ran, shown
from credstore_pipeline.demo.readback import count_rows, drop_database, read_by_tag, row_versions
from credstore_pipeline.demo.show import as_columns, indented
from credstore_pipeline.demo.stores import Store, build_store
from credstore_pipeline.embedded import EmbeddedServer, embedded_server

DATABASE = "netraven"
PREFLIGHT = ("job", "execute", "-m", MODULE, "-j", "preflight")
TAG = "Routers"
RENEWED = ("store", "dagster_home", "snapshots", "logs")
"""Folders of the demo that each telling makes anew."""


def tell(home: Path) -> int:
    """Everything is shown in order; 0 if each step ended as the story says, 1 at the first that did not."""
    began = time.monotonic()
    home = home.absolute()
    store = _renewed(home)
    line = CommandLine(settings(home, store), home / "logs")
    # With the allowances, so that Materialize in the UI goes through.
    write_settings(home / "settings.env", {**line.settings, **allowances(store)})
    with embedded_server(home / "postgres") as server:
        drop_database(server.url("postgres"), DATABASE)
        try:
            _scenes(store, line, server)
        except StoryBroken as broken:
            print(f"\nThe demo did not go as told: {broken}")
            return 1
    _where(home, time.monotonic() - began)
    return 0


def begin(home: Path) -> int:
    """A made-up store, an empty target, no history; the settings allow no row to stay behind. Always 0."""
    home = home.absolute()
    store = _renewed(home)
    write_settings(home / "settings.env", settings(home, store))
    with embedded_server(home / "postgres") as server:
        drop_database(server.url("postgres"), DATABASE)
    print(f"A store to migrate: {store.path}")
    print(f"Its settings:       {home / 'settings.env'}")
    print("The target is empty. Go on with: make ui DEMO=1")
    return 0


def _renewed(home: Path) -> Store:
    for folder in RENEWED:
        shutil.rmtree(home / folder, ignore_errors=True)
    prepare_home(home / "dagster_home")
    return build_store(home / "store", "demo")


class StoryBroken(Exception):
    """A step ended otherwise than the demo says."""


def settings(home: Path, store: Store) -> dict[str, str]:
    """The variables of the demo's migration."""
    return {
        **store.environment(),
        "CREDSTORE_POSTGRES_URL": "embedded",
        "CREDSTORE_EMBEDDED_DIR": str(home / "postgres"),
        "CREDSTORE_BACKUP_DIR": str(home / "snapshots"),
        "DAGSTER_HOME": str(home / "dagster_home"),
    }


def prepare_home(folder: Path) -> None:
    """The folder is a DAGSTER_HOME without telemetry and without a dialog before the first page."""
    folder.mkdir(parents=True, exist_ok=True)
    template = resources.files("credstore_pipeline").joinpath("dagster_home/dagster.yaml")
    (folder / "dagster.yaml").write_text(template.read_text())


def write_settings(path: Path, variables: dict[str, str]) -> None:
    """The variables stand in a file that a shell can read, readable by this user alone."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))


def _scenes(store: Store, line: CommandLine, server: EmbeddedServer) -> None:
    credentials, links = store.expected["credentials"], store.expected["associations"]
    print(f"1. A legacy store: {len(credentials)} credentials, {len(links)} associations, every encoding and trouble.")
    print(f"   {store.path}, keys in {store.folder / 'keys'}")

    print(f"\n2. Look first, write nothing.\n   $ {shown(*PREFLIGHT)}")
    looked = line.dagster("preflight", *PREFLIGHT)
    _expect(looked, refused=True, why="three passwords open under no key, and none may be left behind")
    print(indented(as_columns(looked.part("preflight/census").get("tables", {}).get("Census", []))))

    print(f"\n3. Migrate.\n   $ {shown(*MATERIALIZE)}")
    refused = line.dagster("refused", *MATERIALIZE)
    _expect(refused, refused=True, why="rows cannot be migrated, and the settings allow none")
    for part in refused.parts:
        if part["outcome"] == "refused":
            print(indented(part["text"]))
    url = server.url(DATABASE)
    print(f"   Credentials in PostgreSQL: {count_rows(url, 'credentials')}.")

    allowed = allowances(store)
    print(f"\n4. Migrate, leaving those rows behind, sealed.\n   $ {shown(*MATERIALIZE, **allowed)}")
    migrated = line.dagster("migrated", *MATERIALIZE, **allowed)
    _expect(migrated, refused=False, why="the settings allow the rows that stay behind")
    for table in ("credentials", "tags", "credential_tags", "credstore_sync.quarantine", "credstore_sync.repairs"):
        print(f"   {count_rows(url, table):>4} rows in {table}")

    print(f"\n5. Again, nothing having changed.\n   $ {shown(*MATERIALIZE, **allowed)}")
    before = row_versions(url)
    _expect(line.dagster("again", *MATERIALIZE, **allowed), refused=False, why="there is nothing to do")
    if row_versions(url) != before:
        raise StoryBroken("the second run rewrote rows")
    print("   No row of the application's tables was written.")

    print(f"\n6. The three first credentials of tag {TAG}, as the application reads them from PostgreSQL.")
    _read_back(store, server)


def allowances(store: Store) -> dict[str, str]:
    """Exactly as many rows as the store has that cannot be migrated."""
    followers = ("loaded", "mapped", "parent_quarantined", "orphan_credential")
    credentials = [row for row in store.expected["credentials"] if row["fate"] not in followers]
    links = [row for row in [*store.expected["tags"], *store.expected["associations"]] if row["fate"] not in followers]
    return {
        "CREDSTORE_MAX_QUARANTINED": str(len(credentials)),
        "CREDSTORE_MAX_QUARANTINED_LINKS": str(len(links)),
    }


def _expect(ran: Ran, *, refused: bool, why: str) -> None:
    if (ran.exit_code != 0) != refused:
        tail = ran.log.read_text(errors="replace")[-3000:]
        raise StoryBroken(f"exit code {ran.exit_code} after {ran.seconds:.1f} s, although {why}.\n{tail}")
    print(f"   Exit code {ran.exit_code} after {ran.seconds:.1f} s: {why}.")


def _read_back(store: Store, server: EmbeddedServer) -> None:
    held = {row["id"]: row for row in store.expected["credentials"]}
    rows = read_by_tag(server.url(DATABASE), store.env["encryption_key"], TAG, 3)
    table = []
    for row in rows:
        same = held[row.id]["password"] == row.password
        table.append(
            {
                "credential": row.name,
                "priority": f"{row.priority:g}",
                "was": held[row.id]["encoding"],
                "opens": row.masked,
                "same as before": "yes" if same else "NO",
            }
        )
        if not same:
            raise StoryBroken(f"credential id={row.id} has another password than in the store")
    if len(rows) != 3:
        raise StoryBroken(f"{len(rows)} credentials came back instead of 3")
    print(indented(as_columns(table)))


def _where(home: Path, seconds: float) -> None:
    print(f"\nTold in {seconds:.0f} s. What is left to look at:")
    print(f"   reports       {home / 'dagster_home' / 'reports'} (report.html of each run)")
    print(f"   DAGSTER_HOME  {home / 'dagster_home'}")
    print(f"   snapshots     {home / 'snapshots'}")
    print("   the UI        make ui DEMO=1, then http://127.0.0.1:3000")
