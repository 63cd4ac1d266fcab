"""Digests the source in place, for the UI's Observe button; keeps no copy."""

from credstore_pipeline.core.data_key import TargetPurpose, target_subkey
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.source.connect import open_source
from credstore_pipeline.core.source.digest import ContentDigest, content_digest
from credstore_pipeline.core.source.inspect import inspect


def observe(deployment: Deployment, ring: KeyRing) -> ContentDigest:
    """Read the source once, in one transaction.

    Raises:
        SourceError: If it cannot be read.
        ShapeRefused: If it is no credential store.
    """
    key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    with open_source(deployment.source.sqlite_path, copies=deployment.places.backup_dir) as source:
        shape = inspect(source.connection)
        return content_digest(source.connection, shape, key)
