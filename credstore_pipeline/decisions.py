"""Jobs in which a person decides: conflicts, and quarantined rows that may be good by now."""

from typing import Literal, cast

import dagster as dg
from pydantic import Field

from credstore_pipeline.boundary import told
from credstore_pipeline.core.errors import UNCHANGED, CredstoreError
from credstore_pipeline.core.sync.replay import replay
from credstore_pipeline.core.sync.settle import settle
from credstore_pipeline.resources import Credstore

SIDES = ("source", "target")


class ResolveConfig(dg.Config):
    """Whose value stands, for each conflict that is to be settled."""

    decisions: dict[str, str] = Field(
        description="Conflict id -> `source` or `target`. The check `no_conflicts_wait` lists the ids. Those that are "
        "left out go on waiting."
    )


@dg.op(name="resolve")
def resolve(context: dg.OpExecutionContext, credstore: Credstore, config: ResolveConfig) -> None:
    """Make the chosen side's value stand for each named conflict; all of them or none."""
    with told("resolve_conflicts"):
        wrong = [number for number, side in config.decisions.items() if side not in SIDES or not number.isdecimal()]
        if wrong or not config.decisions:
            raise CredstoreError(
                "resolve_conflicts",
                f"{len(wrong)} decisions are not a conflict's id with `source` or `target`"
                if wrong
                else "the run config names no conflict",
                state=UNCHANGED,
                todo="Launch with run config {ops: {resolve: {config: {decisions: {'7': source, '8': target}}}}}.",
            )
        decisions = {int(number): cast(Literal["source", "target"], side) for number, side in config.decisions.items()}
        # Never an earlier run's id: a re-execution may decide about others, and what stands in its record is not this.
        settled = settle(credstore.deployment(), credstore.ring(), context.run_id, decisions, log=context.log.info)
    context.add_output_metadata({"settled_for_source": settled.source, "settled_for_target": settled.target})


@dg.op(name="replay")
def replay_rows(context: dg.OpExecutionContext, credstore: Credstore) -> None:
    """Take over quarantined rows that are good now, from their sealed copies; the legacy store is not read."""
    with told("replay_quarantine"):
        replayed = replay(credstore.deployment(), credstore.ring(), context.run_id, log=context.log.info)
    context.log.info("%d of %d quarantined rows were taken over.", replayed.resolved, replayed.taken_up)
    context.add_output_metadata({"tried": replayed.taken_up, "resolved": replayed.resolved})


@dg.job(
    description="Settle conflicts that wait: the run config says for each id whether the source's value stands or the "
    "target's. Refuses if the target changed since the conflict was recorded."
)
def resolve_conflicts() -> None:
    """Settle conflicts."""
    resolve()


@dg.job(
    description="Try the rows in quarantine again, after a key was added or a rule was loosened, without reading the "
    "legacy store. What is good is loaded, proven and marked resolved; the rest stays."
)
def replay_quarantine() -> None:
    """Replay quarantine."""
    replay_rows()
