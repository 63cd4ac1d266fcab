"""Many clients at once, each a process of its own, working for a given time."""

import multiprocessing
import statistics
import sys
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError

from credstore_pipeline.bench.access.contestants import Place, make_client
from credstore_pipeline.bench.access.places import counted
from credstore_pipeline.bench.contestants import BenchFailed

# Forked: the parent has no threads and no connections, and 32 interpreters would take longer than what is measured.
PROCESSES = multiprocessing.get_context("fork")

MEET_MAX_S = 300.0
"""How long the others are waited for, beyond the measurement itself; one that was killed never comes."""

Answer = tuple[list[float], int, float]
"""Seconds of each operation, operations refused, seconds in all."""


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
    """Let so many clients do the operation for so long.

    Raises:
        BenchFailed: If one of them failed, was killed or hangs; the others are ended.
    """
    meet = PROCESSES.Barrier(clients + 1), PROCESSES.Barrier(clients + 1)
    workers, pipes = [], []
    try:
        for seed in range(clients):
            answer, told = PROCESSES.Pipe(duplex=False)
            worker = PROCESSES.Process(target=_work, args=(place, operation, seconds, meet, told, seed), daemon=True)
            worker.start()
            workers.append(worker)
            pipes.append(answer)
            # The worker's own end is the only one then, and goes with it, however that ends.
            told.close()
        ready, start = meet
        ready.wait(MEET_MAX_S)
        before = counted(place)
        start.wait(MEET_MAX_S)
        answers = [_answer(pipe, seconds) for pipe in pipes]
    except BaseException as error:
        for worker in workers:
            worker.terminate()
        if isinstance(error, (BrokenBarrierError, EOFError)):
            raise BenchFailed(f"{place.name}, {operation}: one of {clients} clients ended or hung") from None
        raise
    finally:
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


def _answer(pipe: Connection, seconds: float) -> Answer:
    """What a worker tells; an EOFError if it has ended, or says nothing."""
    if not pipe.poll(seconds + MEET_MAX_S):
        raise EOFError
    answer: Answer = pipe.recv()
    return answer


def _work(
    place: Place, operation: str, seconds: float, meet: tuple[Barrier, Barrier], told: Connection, seed: int
) -> None:
    try:
        told.send(_measured(place, operation, seconds, meet, seed))
    except BrokenBarrierError:  # whoever broke it says why
        return
    except BaseException:
        # Before the others hear of it: the measurement ends all clients then.
        traceback.print_exc()
        for barrier in meet:
            barrier.abort()
        sys.exit(1)


def _measured(place: Place, operation: str, seconds: float, meet: tuple[Barrier, Barrier], seed: int) -> Answer:
    client = make_client(place, seed)
    # The first one connects and compiles, once in a worker's life; nothing is counted by it.
    client.work(operation)
    for barrier in meet:
        barrier.wait(MEET_MAX_S)
    times, refused = [], 0
    began = now = time.perf_counter()
    while now - began < seconds:
        answered = client.work(operation)
        then, now = now, time.perf_counter()
        if answered:
            times.append(now - then)
        else:
            refused += 1
    return times, refused, now - began
