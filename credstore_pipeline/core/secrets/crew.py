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


class Crew:
    """Worker processes under one set of keys; they start with the first work and stay until `stop`."""

    def __init__(self, size: int, ring: KeyRing, fingerprint_key: bytes, plaintext: Plaintext) -> None:
        """Hold what the workers will be told; starts none."""
        self._size = size
        self._ring, self._fingerprint_key, self._plaintext = ring, fingerprint_key, plaintext
        self._workers: list[WorkerProcess] = []

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [worker.pid for worker in self._workers]

    def run(self, chunks: Iterator[Chunk], expected: int, take: Callable[[int, Columns], None]) -> None:
        """Have every chunk worked on; one thread feeds each worker.

        Args:
            chunks: Built one at a time, as a worker is ready.
            expected: How many there are.
            take: Called in this thread with each chunk's position and columns, as they come.

        Raises:
            SealingFailed: If a worker died or failed; all of them are gone then.
        """
        while len(self._workers) < self._size:
            keys = self._ring.wire(), self._fingerprint_key
            self._workers.append(WorkerProcess(Setup(os.getpid(), *keys, self._plaintext)))
        results: SimpleQueue[tuple[int, Columns] | SealingFailed] = SimpleQueue()
        feed = _Feed(chunks)
        threads = [threading.Thread(target=_drive, args=(worker, feed, results)) for worker in self._workers]
        for thread in threads:
            thread.start()
        finished = False
        try:
            for _ in range(expected):
                result = results.get()
                if isinstance(result, SealingFailed):
                    raise result from None
                take(*result)
            finished = True
        finally:
            feed.close()
            if not finished:
                for worker in self._workers:
                    worker.kill()
            # Threads first: closing a pipe under a thread that uses it could hit another file's number.
            for thread in threads:
                thread.join()
            if not finished:
                self.stop()

    def stop(self) -> None:
        """End all workers and wait for their end."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.stop()


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


def _drive(worker: WorkerProcess, feed: _Feed, results: "SimpleQueue[tuple[int, Columns] | SealingFailed]") -> None:
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
