"""Many clients at once, each a process of its own, working for a given time."""

import multiprocessing
import statistics
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

from credstore_pipeline.bench.access.contestants import Place, make_client
from credstore_pipeline.bench.access.places import counted

# Forked: the parent has no threads and no connections, and 32 interpreters would take longer than what is measured.
PROCESSES = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Cell:
    """One operation under a number of clients.

    Attributes:
        done: Operations that were answered.
        refused: Operations that were answered with a refusal; SQLite's locking errors.
        lost: Status updates that were answered and are in no counter; None for other operations.
        median_ms: Of one operation.
        p95_ms: Of one operation.
        rate: Operations done a second, all clients together.
    """

    contestant: str
    size: int
    operation: str
    clients: int
    done: int
    refused: int
    lost: int | None
    median_ms: float
    p95_ms: float
    rate: float


def measure_cell(place: Place, operation: str, clients: int, seconds: float) -> Cell:
    """Let so many clients do the operation for so long."""
    ready, start = (PROCESSES.Barrier(clients + 1) for _ in range(2))
    pipes = [PROCESSES.Pipe(duplex=False) for _ in range(clients)]
    workers = [
        PROCESSES.Process(target=_work, args=(place, operation, seconds, (ready, start), told, seed))
        for seed, (_, told) in enumerate(pipes)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    before = counted(place)
    start.wait()
    answers = [told.recv() for told, _ in pipes]
    for worker in workers:
        worker.join()
    times = sorted(taken for answer in answers for taken in answer[0])
    done = len(times)
    lost = done - (counted(place) - before) if operation == "status update" else None
    return Cell(
        place.name,
        place.size,
        operation,
        clients,
        done,
        sum(answer[1] for answer in answers),
        lost,
        1000 * statistics.median(times) if times else float("nan"),
        1000 * times[int(0.95 * done)] if times else float("nan"),
        done / max(answer[2] for answer in answers),
    )


def _work(
    place: Place, operation: str, seconds: float, meet: tuple[Barrier, Barrier], told: Connection, seed: int
) -> None:
    client = make_client(place, seed)
    # The first one connects and compiles, once in a worker's life; nothing is counted by it.
    client.work(operation)
    for barrier in meet:
        barrier.wait()
    times, refused = [], 0
    began = now = time.perf_counter()
    while now - began < seconds:
        answered = client.work(operation)
        then, now = now, time.perf_counter()
        if answered:
            times.append(now - then)
        else:
            refused += 1
    told.send((times, refused, now - began))
