"""A worker process: opens and seals what comes through its pipe, until the pipe ends.

Started as `python -m credstore_pipeline.core.secrets.worker`, never forked: a fork of a process with
threads is unsafe, and multiprocessing's spawn runs the console script that started the run once more.
It reads no environment, writes nothing but its answers, and dies with the run that started it.
"""

import os
import resource
import signal
import threading
import time
from multiprocessing.connection import Connection

from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.secrets.chunks import Chunk, Setup, work
from credstore_pipeline.core.secrets.judge import Judge

_WATCH_SECONDS = 0.5


def main() -> None:
    """Serve chunks from standard input on standard output; end at the input's end."""
    inbound = Connection(os.dup(0), writable=False)
    outbound = Connection(os.dup(1), readable=False)
    _detach()
    try:
        setup: Setup = inbound.recv()
        threading.Thread(target=_end_with, args=(setup.parent,), daemon=True).start()
        judge = Judge(KeyRing.from_wire(setup.ring), setup.fingerprint_key, setup.plaintext)
        while True:
            chunk: Chunk = inbound.recv()
            outbound.send(_answer(judge, chunk))
    except (EOFError, OSError):
        return


def _answer(judge: Judge, chunk: Chunk) -> tuple[str, object]:
    try:
        return "done", work(judge, chunk)
    except Exception as error:
        # Whatever it is, it may quote what it choked on: only its type leaves this process.
        return "failed", type(error).__name__


def _detach() -> None:
    """Leave nowhere to write to by accident, no memory image, and interrupts to the run."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with(parent: int) -> None:
    """End this process soon after its parent did, should the pipe's end be held open elsewhere."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main()
