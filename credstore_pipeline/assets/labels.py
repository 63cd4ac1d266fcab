"""What the UI says of each asset beside its docstring: where it comes from, who may read it, owner, tags, columns."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import dagster as dg

from credstore_pipeline.assets.columns import OWNERS, loaded, refused, schema, stored
from credstore_pipeline.core.frames import TABLES

SEALED = "Between steps it is a sealed file that this run's process alone can open; it is gone when the run has ended."
APPLICATION = "The application, with its database role and the target key; the pipeline, with its own."


class Label(NamedTuple):
    """One asset's label.

    Attributes:
        origin: Where it comes from.
        readers: Who may read it.
        holds: What is in it, as a tag to search by: `sealed`, `plaintext`, `ciphertext` or `counts`.
        columns: Its columns, if it is a table.
    """

    origin: str
    readers: str
    holds: str
    columns: dg.TableSchema | None = None


LABELS: Mapping[str, Label] = {
    "backup/snapshot": Label(
        "SQLite's online backup of `sqlite/store`.",
        "Who runs the pipeline: the file is 0600. It holds what the store holds, passwords in the clear included.",
        "plaintext",
    ),
    **{
        f"extracted/{table}": Label(f"Table `{table}` of `backup/snapshot`.", SEALED, "sealed", stored(table))
        for table in TABLES
    },
    "preflight/census": Label("`extracted/*`, and a look at the target that writes nothing.", SEALED, "sealed"),
    **{
        f"validated/{table}": Label(
            f"`extracted/{table}` under the row rules; passwords from `preflight/census`.",
            SEALED,
            "sealed",
            loaded(table),
        )
        for table in TABLES
    },
    "quarantine/rows": Label(
        "Rows of `extracted/*` that a rule refused.",
        f"{SEALED} Afterwards: who has the target key and may read `credstore_sync.quarantine`.",
        "sealed",
        refused(),
    ),
    **{
        f"postgres/{table}": Label(
            f"`validated/{table}`, loaded and read back.", APPLICATION, "ciphertext", loaded(table)
        )
        for table in TABLES
    },
    "report/migration": Label(
        "What each stage of the run wrote down.",
        "Anybody who may know ids, reasons and counts: no value stands in it. The files are 0600.",
        "counts",
    ),
    "seed/default_tags": Label("The application's defaults and CREDSTORE_SEED_FILE.", APPLICATION, "ciphertext"),
    "seed/default_credentials": Label(
        "Passwords from the environment, sealed before they are written.", APPLICATION, "ciphertext"
    ),
}
"""Asset key -> its label; a test holds that each asset has one."""


def labelled(assets: Iterable[dg.AssetsDefinition | dg.SourceAsset]) -> list[dg.AssetsDefinition | dg.SourceAsset]:
    """The same assets, each with its label, owner and tags."""
    return [asset.map_asset_specs(_label) if isinstance(asset, dg.AssetsDefinition) else asset for asset in assets]


def _label(spec: dg.AssetSpec) -> dg.AssetSpec:
    label = LABELS.get(spec.key.to_user_string())
    if label is None:
        return spec
    said = (spec.description or "", f"**From.** {label.origin}", f"**May be read by.** {label.readers}")
    return spec.replace_attributes(
        description="\n\n".join(said).strip(),
        owners=OWNERS,
        tags={**spec.tags, "holds": label.holds},
        metadata={**spec.metadata, **(schema(label.columns) if label.columns else {})},
    )
