"""Carries frames between steps as sealed Parquet, under run and asset; refuses everything else."""

import os
import secrets
from pathlib import Path

import dagster as dg
import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import PrivateAttr

from credstore_pipeline.boundary import told
from credstore_pipeline.core.data_key import TargetPurpose, target_subkey
from credstore_pipeline.core.errors import StagingError
from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.lease import Lease, lease_new, lease_on, remove_unheld
from credstore_pipeline.core.staging import START_OVER, open_frame, seal_frame
from credstore_pipeline.resources import Credstore
from credstore_pipeline.retries import run_of_snapshot

ROOT_RUN_TAG = "dagster/root_run_id"
"""Dagster's own: each re-execution has the id of the run that was launched first."""


class SealedParquetIOManager(dg.ConfigurableIOManager):
    """The default IO manager, so that nothing can fall back to pickles in clear."""

    credstore: dg.ResourceDependency[Credstore]
    _held: dict[Path, Lease] = PrivateAttr(default_factory=dict)

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Write one frame, sealed, mode 0600, whole or not at all."""
        asset = context.asset_key.to_user_string()
        with told(asset):
            if not isinstance(obj, Frame):
                raise StagingError(asset, f"a {type(obj).__name__} is not a frame and is not written", todo=START_OVER)
            run_id = _staged_by(context)
            fs, path = self._place(run_id, asset)
            if isinstance(fs, LocalFileSystem):
                self._hold(Path(path).parent)
            else:
                fs.makedirs(fs._parent(path), exist_ok=True)
            # Not the process's number: a killed one's file may be there, and a container counts from 1 again.
            partial = f"{path}.{secrets.token_hex(8)}.partial"
            with _private_file(fs, partial) as out:
                size = seal_frame(obj, out, self._key(), run_id, asset)
            if isinstance(fs, LocalFileSystem):
                Path(partial).replace(path)
            else:
                fs.mv(partial, path)
            context.add_output_metadata({"staged_mb": round(size / 1e6, 3)})

    def load_input(self, context: dg.InputContext) -> Frame:
        """Read one frame that an earlier step of the same run wrote."""
        asset = context.asset_key.to_user_string()
        with told(asset):
            run_id = _staged_by(context)
            fs, path = self._place(run_id, asset)
            if isinstance(fs, LocalFileSystem):
                # A re-execution may start with reading what its first run, which is over, has left.
                self._hold_what_is_there(Path(path).parent)
            try:
                with fs.open(path, "rb") as file:
                    return open_frame(file, self._key(), run_id, asset)
            except FileNotFoundError:
                raise StagingError(
                    asset, "it was not made in this run, and steps take nothing from other runs", todo=START_OVER
                ) from None

    def forget(self, run_id: str) -> None:
        """Remove the staged files of this run."""
        fs, folder = self._folder(run_id)
        if fs.exists(folder):
            fs.rm(folder, recursive=True)

    def forget_finished(self, instance: dg.DagsterInstance, current: str) -> int:
        """Remove what finished, vanished or killed runs left behind and return how many runs that were.

        Dagster is never told of a kill -9: on a local file system the run's process holds its folder, and what nobody
        holds is left behind. Elsewhere Dagster's word has to do, on the run and on each re-execution of it.
        """
        fs, folder = self._folder(current)
        root = fs._parent(folder)
        left = (
            [str(name).rstrip("/").rsplit("/", 1)[-1] for name in fs.ls(root, detail=False)] if fs.exists(root) else []
        )
        gone = 0
        for run_id in left:
            if run_id == current:
                continue
            if isinstance(fs, LocalFileSystem):
                gone += remove_unheld(Path(root) / run_id)
                continue
            if not _is_going(instance, run_id):
                self.forget(run_id)
                gone += 1
        return gone

    def _hold(self, folder: Path) -> None:
        """Make the run's folder its own as long as this process is at it."""
        if folder not in self._held:
            self._keep(folder, lease_new(folder))

    def _hold_what_is_there(self, folder: Path) -> None:
        lease = None if folder in self._held else lease_on(folder)
        if lease is not None:
            self._keep(folder, lease)

    def _keep(self, folder: Path, lease: Lease) -> None:
        self._held[folder] = lease
        self.credstore.hold(lease)

    def _key(self) -> bytes:
        return target_subkey(self.credstore.ring(), TargetPurpose.STAGING)

    def _folder(self, run_id: str) -> tuple[fsspec.AbstractFileSystem, str]:
        fs, root = fsspec.url_to_fs(self.credstore.deployment().places.staging_url)
        return fs, f"{root.rstrip('/')}/{run_id}"

    def _place(self, run_id: str, asset: str) -> tuple[fsspec.AbstractFileSystem, str]:
        fs, folder = self._folder(run_id)
        return fs, f"{folder}/{asset.replace('/', '__')}.sealed"


def _staged_by(context: dg.OutputContext | dg.InputContext) -> str:
    """The run under whose id the frames lie, so that a retry from failure finds what was staged before."""
    return run_of_snapshot(context.step_context.dagster_run, context.step_context.instance)


def _is_going(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run, or another that goes back to the same first run, is not over: they may share what is staged."""
    run = instance.get_run_by_id(run_id)
    root_id = run.root_run_id or run_id if run else run_id
    first = instance.get_run_by_id(root_id)
    runs = [*([first] if first else []), *instance.get_runs(dg.RunsFilter(tags={ROOT_RUN_TAG: root_id}))]
    return not all(run.is_finished for run in runs)


def _private_file(fs: fsspec.AbstractFileSystem, path: str):
    if isinstance(fs, LocalFileSystem):
        Path(path).parent.chmod(0o700)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    return fs.open(path, "wb")
