"""The one resource: the deployment as the environment describes it, read when a run first needs it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr
from sqlalchemy.engine import URL

from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.keys.ring import KeyRing, build_ring
from credstore_pipeline.core.lease import Lease
from credstore_pipeline.core.seeding.plan import Seeding
from credstore_pipeline.deployments import deployment_from, seeding_from
from credstore_pipeline.settings_reading import read_seed_settings, read_settings


class Credstore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Hands each step the deployment and its key ring. Has no configuration: settings come from the environment.

    Everything secret sits in private attributes, which neither a repr nor the UI shows.
    """

    _deployment: Deployment | None = PrivateAttr(default=None)
    _ring: KeyRing | None = PrivateAttr(default=None)
    _started: ExitStack = PrivateAttr(default_factory=ExitStack)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Credstore"]:
        """Leave the embedded server, if this run started or joined it, when the run ends."""
        with ExitStack() as started:
            self._started = started
            yield self

    def deployment(self) -> Deployment:
        """The deployment, read once a run.

        Raises:
            SettingsError: Naming every missing or wrong setting at once.
        """
        if self._deployment is None:
            self._deployment = deployment_from(read_settings(), self._start_embedded)
        return self._deployment

    def seeding(self) -> Seeding:
        """What a fresh installation is given; needs no legacy store.

        Raises:
            SettingsError: Naming every missing or wrong setting at once.
        """
        return seeding_from(read_seed_settings(), self._start_embedded)

    def ring(self) -> KeyRing:
        """The key ring, derived once a run.

        Raises:
            KeyRingError: If a key file cannot be used.
        """
        if self._ring is None:
            self._ring = build_ring(self.deployment().keys)
        return self._ring

    def hold(self, lease: Lease | None) -> None:
        """Keep a folder from being removed by other runs until this one ends."""
        if lease is not None:
            self._started.callback(lease.release)

    def _start_embedded(self, base: Path | None) -> URL:
        # Imported here: a server of one's own is the exception.
        from credstore_pipeline.embedded import embedded_server

        return self._started.enter_context(embedded_server(base)).url()
