"""From settings to the one `Deployment` object that the core is handed."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from credstore_pipeline.core.deployment import Deployment, KeyMaterial, Places, Policies, Source, Target
from credstore_pipeline.core.seeding.file import read_seed_file
from credstore_pipeline.core.seeding.plan import DEFAULT_TAGS, Seeding, SeedTag, default_credentials, password_fault
from credstore_pipeline.core.window import Window
from credstore_pipeline.settings import DEFAULT_POSTGRES, SeedSettings, Settings, TargetSettings
from credstore_pipeline.settings_reading import refused

EMBEDDED = "embedded"
DRIVER = "postgresql+psycopg2"


def deployment_from(settings: Settings, start_embedded: Callable[[Path | None], URL]) -> Deployment:
    """Build the deployment; start the embedded server if, and only if, the settings say so.

    Args:
        settings: As read from the environment.
        start_embedded: Starts the embedded server in a folder and returns its URL.

    Raises:
        SettingsError: If settings contradict each other.
    """
    faults: dict[str, str] = {}
    url = _target_url(settings, faults)
    places = _places(settings, faults)
    # A wrong seed is told before anything is touched, even if it would be needed last.
    _seeds(settings, faults)
    if faults:
        raise refused(faults)
    if url is None:
        url = start_embedded(settings.CREDSTORE_EMBEDDED_DIR)
    return Deployment(
        source=Source(settings.CREDSTORE_SQLITE_PATH),
        target=Target(url, settings.CREDSTORE_TARGET_SCHEMA),
        keys=_keys(settings),
        policies=_policies(settings),
        places=places,
    )


def seeding_from(settings: SeedSettings, start_embedded: Callable[[Path | None], URL]) -> Seeding:
    """Build what seeding is handed; start the embedded server if, and only if, the settings say so.

    Args:
        settings: As read from the environment.
        start_embedded: As for `deployment_from`.

    Raises:
        SettingsError: If settings contradict each other, a password may not be seeded, or the file is wrong.
    """
    faults: dict[str, str] = {}
    url = _target_url(settings, faults)
    passwords, tags = _seeds(settings, faults)
    key = settings.CREDSTORE_TARGET_KEY or settings.NETRAVEN_ENCRYPTION_KEY
    if passwords and not key:
        faults["CREDSTORE_TARGET_KEY"] = (
            "not set, nor NETRAVEN_ENCRYPTION_KEY, and a seeded password has to be sealed with it"
        )
    if faults:
        raise refused(faults)
    if url is None:
        url = start_embedded(settings.CREDSTORE_EMBEDDED_DIR)
    return Seeding(
        target=Target(url, settings.CREDSTORE_TARGET_SCHEMA),
        keys=KeyMaterial(target_key=key) if key else None,
        tags=(*DEFAULT_TAGS, *tags),
        credentials=default_credentials(passwords),
        asked=settings.CREDSTORE_SEED,
        lock_wait_s=settings.CREDSTORE_LOCK_WAIT_S,
    )


def _seeds(settings: SeedSettings, faults: dict[str, str]) -> tuple[dict[str, str], tuple[SeedTag, ...]]:
    """Return the passwords by credential and the file's tags; list what is wrong with either."""
    given = {
        "Admin": settings.CREDSTORE_SEED_ADMIN_PASSWORD,
        "Backup": settings.CREDSTORE_SEED_BACKUP_PASSWORD,
        "Monitor": settings.CREDSTORE_SEED_MONITOR_PASSWORD,
    }
    passwords = {name: password for name, password in given.items() if password}
    for name, password in passwords.items():
        wrong = password_fault(password)
        if wrong:
            faults[f"CREDSTORE_SEED_{name.upper()}_PASSWORD"] = wrong
    if settings.CREDSTORE_SEED_FILE is None:
        return passwords, ()
    tags, wrongs = read_seed_file(settings.CREDSTORE_SEED_FILE, [tag.name for tag in DEFAULT_TAGS])
    if wrongs:
        faults["CREDSTORE_SEED_FILE"] = "; ".join(wrongs)
    return passwords, tags


def _target_url(settings: TargetSettings, faults: dict[str, str]) -> URL | None:
    given = {
        "host": settings.POSTGRES_HOST,
        "port": settings.POSTGRES_PORT,
        "db": settings.POSTGRES_DB,
        "user": settings.POSTGRES_USER,
        "password": settings.POSTGRES_PASSWORD,
    }
    if settings.CREDSTORE_POSTGRES_URL is None:
        parts = {name: DEFAULT_POSTGRES[name] if value is None else value for name, value in given.items()}
        return _with_tls(
            settings,
            URL.create(
                DRIVER,
                username=str(parts["user"]),
                password=str(parts["password"]),
                host=str(parts["host"]),
                port=int(parts["port"]),
                database=str(parts["db"]),
            ),
        )
    if settings.CREDSTORE_POSTGRES_URL == EMBEDDED:
        for name, value in given.items():
            if value is not None:
                faults[f"POSTGRES_{name.upper()}"] = "set, but CREDSTORE_POSTGRES_URL says `embedded`; unset one"
        return None
    try:
        url = make_url(settings.CREDSTORE_POSTGRES_URL)
    except (ArgumentError, ValueError):
        faults["CREDSTORE_POSTGRES_URL"] = "it is no URL; write postgresql://user:password@host:port/database"
        return None
    if url.drivername not in ("postgresql", "postgres", DRIVER) or not url.database:
        faults["CREDSTORE_POSTGRES_URL"] = "write postgresql://user:password@host:port/database"
        return None
    stands = {"host": url.host, "port": url.port or 5432, "db": url.database, "user": url.username}
    stands["password"] = url.password
    for name, value in given.items():
        if value is not None and stands[name] is not None and value != stands[name]:
            faults[f"POSTGRES_{name.upper()}"] = "it disagrees with CREDSTORE_POSTGRES_URL; unset one of the two"
    if url.password is None and settings.POSTGRES_PASSWORD is not None:
        url = url.set(password=settings.POSTGRES_PASSWORD)
    # A bare postgresql:// would be taken for another driver by SQLAlchemy 2.1.
    return _with_tls(settings, url.set(drivername=DRIVER))


def _with_tls(settings: TargetSettings, url: URL) -> URL:
    query = {}
    if settings.CREDSTORE_POSTGRES_SSLMODE:
        query["sslmode"] = settings.CREDSTORE_POSTGRES_SSLMODE
    if settings.CREDSTORE_POSTGRES_SSLROOTCERT:
        query["sslrootcert"] = str(settings.CREDSTORE_POSTGRES_SSLROOTCERT)
    return url.update_query_dict(query)


def _keys(settings: Settings) -> KeyMaterial:
    target_key = settings.CREDSTORE_TARGET_KEY or settings.NETRAVEN_ENCRYPTION_KEY
    if target_key is None:
        raise refused({"CREDSTORE_TARGET_KEY": "not set"})
    return KeyMaterial(
        target_key=target_key,
        application_key=settings.NETRAVEN_ENCRYPTION_KEY,
        source_keys=_source_keys(settings),
        key_dir=settings.CREDSTORE_KEY_DIR,
        key_backup=settings.CREDSTORE_KEY_BACKUP,
        key_backup_password=settings.CREDSTORE_KEY_BACKUP_PASSWORD,
        salts=(settings.NETRAVEN_ENCRYPTION_SALT,) if settings.NETRAVEN_ENCRYPTION_SALT else (),
        rollback_key=settings.CREDSTORE_ROLLBACK_KEY or settings.NETRAVEN_ENCRYPTION_KEY,
    )


def _source_keys(settings: Settings) -> tuple[str, ...]:
    """What was given, and the key of a rollback: after one, the source is sealed under it."""
    given, rollback = settings.CREDSTORE_SOURCE_KEYS, settings.CREDSTORE_ROLLBACK_KEY
    return given if rollback is None or rollback in given else (*given, rollback)


def _policies(settings: Settings) -> Policies:
    return Policies(
        max_quarantined=settings.CREDSTORE_MAX_QUARANTINED,
        max_quarantined_links=settings.CREDSTORE_MAX_QUARANTINED_LINKS,
        plaintext=settings.CREDSTORE_PLAINTEXT,
        missing_tags=settings.CREDSTORE_MISSING_TAGS,
        password_column=settings.CREDSTORE_PASSWORD_COLUMN,
        conflicts=settings.CREDSTORE_CONFLICTS,
        secret_conflicts=settings.CREDSTORE_SECRET_CONFLICTS,
        max_delete_fraction=settings.CREDSTORE_MAX_DELETE_FRACTION,
        whole_pass_below=settings.CREDSTORE_WHOLE_PASS_BELOW,
        backup_keep=settings.CREDSTORE_BACKUP_KEEP,
        source_lock_max_s=settings.CREDSTORE_SOURCE_LOCK_MAX_S,
        lock_wait_s=settings.CREDSTORE_LOCK_WAIT_S,
        window=Window(settings.CREDSTORE_WINDOW_START, settings.CREDSTORE_WINDOW_END),
        max_downtime_s=settings.CREDSTORE_MAX_DOWNTIME_S,
        rollback_format=settings.CREDSTORE_ROLLBACK_FORMAT,
    )


def _places(settings: Settings, faults: dict[str, str]) -> Places:
    home = settings.DAGSTER_HOME
    backup_dir = settings.CREDSTORE_BACKUP_DIR or home.parent / "credstore-snapshots"
    if backup_dir.absolute().is_relative_to(home):
        # A snapshot holds what the source holds: the UI's folder is no place for it.
        faults["CREDSTORE_BACKUP_DIR"] = "it lies below DAGSTER_HOME; choose a folder outside"
    for name, folder in (("DAGSTER_HOME", home), ("CREDSTORE_BACKUP_DIR", backup_dir)):
        if name not in faults and not _writable(folder):
            faults[name] = "the folder cannot be written to"
    return Places(
        home=home,
        backup_dir=backup_dir.absolute(),
        staging_url=settings.CREDSTORE_STAGING_URL or str(home / "staging"),
        report_dir=home / "reports",
    )


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
