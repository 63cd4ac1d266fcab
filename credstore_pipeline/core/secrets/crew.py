"""Several worker processes on one stream of chunks, and their end whatever happens."""

import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

from credstore_pipeline.core.errors import SealingFailed
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.secrets.chunks import Chunk, Setup
from credstore_pipeline.core.secrets.judge import Judged, Plaintext, Seen
from credstore_pipeline.core.secrets.processes import WorkerProcess

Columns = Judged | Seen
_Results = SimpleQueue[tuple[int, Columns] | SealingFailed]


class Crew:
    """Worker processes under one set of keys; they start with the first work and stay until `stop`."""

    def __init__(self, size: int, ring: KeyRing, fingerprint_key: bytes, plaintext: Plaintext) -> None:
        """Hold what the workers will be told; starts none."""
        self._size = size
        self._ring, self._fingerprint_key, self._plaintext = ring, fingerprint_key, plaintext
        self._workers: list[WorkerProcess] = []
        self._lot: Lot | None = None

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [worker.pid for worker in self._workers]

    def begin(self, chunks: Iterator[Chunk], expected: int) -> "Lot":
        """Have every chunk worked on while the caller does something else; one thread feeds each worker.

        Args:
            chunks: Built one at a time, as a worker is ready.
            expected: How many there are.

        Returns:
            What collects the answers; the one before has to be collected first.

        Raises:
            SealingFailed: If a worker cannot be started.
        """
        while len(self._workers) < self._size:
            keys = self._ring.wire(), self._fingerprint_key
            self._workers.append(WorkerProcess(Setup(os.getpid(), *keys, self._plaintext)))
        self._lot = Lot(self._workers, chunks, expected)
        return self._lot

    def stop(self) -> None:
        """End all workers and wait for their end."""
        lot, self._lot = self._lot, None
        if lot is not None:
            lot.give_up()
        for worker in self._workers:
            worker.stop()
        self._workers.clear()


class Lot:
    """Chunks that workers are at."""

    def __init__(self, workers: list[WorkerProcess], chunks: Iterator[Chunk], expected: int) -> None:
        """Start one thread a worker; the list is the crew's own."""
        self._workers, self._feed, self._expected = workers, _Feed(chunks), expected
        self._results: _Results = SimpleQueue()
        self._threads = [
            threading.Thread(target=_drive, args=(worker, self._feed, self._results)) for worker in workers
        ]
        for thread in self._threads:
            thread.start()

    def collect(self, take: Callable[[int, Columns], None]) -> None:
        """Wait for all answers.

        Args:
            take: Called in this thread with each chunk's position and columns, as they come.

        Raises:
            SealingFailed: If a worker died or failed; all of them are gone then.
        """
        try:
            for _ in range(self._expected):
                result = self._results.get()
                if isinstance(result, SealingFailed):
                    raise result from None
                take(*result)
        except BaseException:
            self.give_up()
            raise
        self._end()

    def give_up(self) -> None:
        """End the workers and forget them if they are still at it; does nothing once all answers were collected."""
        if self._threads:
            self._feed.close()
            for worker in self._workers:
                worker.kill()
            self._end()
            for worker in self._workers:
                worker.stop()
            self._workers.clear()

    def _end(self) -> None:
        self._feed.close()
        # Threads first: closing a pipe under a thread that uses it could hit another file's number.
        for thread in self._threads:
            thread.join()
        self._threads = []


class _Feed:
    """Hands out numbered chunks to several threads."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks: Iterator[tuple[int, Chunk]] = enumerate(chunks)
        self._lock = threading.Lock()

    def take(self) -> tuple[int, Chunk] | None:
        with self._lock:
            return next(self._chunks, None)

    def close(self) -> None:
        with self._lock:
            self._chunks = iter(())


def _drive(worker: WorkerProcess, feed: _Feed, results: _Results) -> None:
    try:
        current = feed.take()
        if current:
            worker.send(current[1])
        while current:
            columns = worker.receive()
            # The worker goes on while the caller takes its answer.
            following = feed.take()
            if following:
                worker.send(following[1])
            results.put((current[0], columns))
            current = following
    except SealingFailed as error:
        results.put(error)
    except Exception as error:
        # A thread's own traceback would show what it choked on, and the run would wait for ever.
        results.put(unexpected(error))


def unexpected(error: Exception) -> SealingFailed:
    """Return what may be said of an error that may quote a password: its type."""
    wrong = f"failed unexpectedly ({type(error).__name__})."
    return SealingFailed("opening and sealing passwords", wrong, todo="Run again; report it if it stays.")
