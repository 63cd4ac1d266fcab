"""Carries frames between steps as sealed Parquet, under run and asset; refuses everything else."""

import os
from pathlib import Path

import dagster as dg
import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import PrivateAttr

from credstore_pipeline.boundary import told
from credstore_pipeline.core.data_key import TargetPurpose, target_subkey
from credstore_pipeline.core.errors import StagingError
from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.lease import Lease, lease_new, remove_unheld
from credstore_pipeline.core.staging import START_OVER, open_frame, seal_frame
from credstore_pipeline.resources import Credstore
from credstore_pipeline.retries import run_of_snapshot


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
            partial = f"{path}.{os.getpid()}.partial"
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
        holds is left behind. Elsewhere Dagster's word has to do.
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
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                self.forget(run_id)
                gone += 1
        return gone

    def _hold(self, folder: Path) -> None:
        """Make the run's folder its own as long as this process is at it."""
        if folder not in self._held:
            self._held[folder] = lease_new(folder)
            self.credstore.hold(self._held[folder])

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


def _private_file(fs: fsspec.AbstractFileSystem, path: str):
    if isinstance(fs, LocalFileSystem):
        Path(path).parent.chmod(0o700)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    return fs.open(path, "wb")
