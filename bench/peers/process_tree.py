"""A server with all that it starts: other processes, sessions of their own, orphans. All end with it."""

from __future__ import annotations

import contextlib
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

MARK = "METABRIDGE_BENCH_SERVER"
"""Variable by which the processes of a server are known: children inherit it, whoever their parent is by then."""
STOP_SECONDS, KILL_SECONDS = 15.0, 10.0


@contextlib.contextmanager
def process_tree(
    command: list[str], variables: Mapping[str, str], log: Path, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a folder until the block ends, with what it prints in a log.

    It is asked to end as a terminal or a container would do it; what is left of it after `STOP_SECONDS` is killed.
    """
    mark = uuid.uuid4().hex
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**variables, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        if not _ended(process, mark, STOP_SECONDS):
            for left in _marked(mark):
                with contextlib.suppress(psutil.Error):
                    left.kill()
            if not _ended(process, mark, KILL_SECONDS):
                names = [left.name() for left in _marked(mark)]
                raise RuntimeError(f"{' '.join(command)} left processes that cannot be killed: {names}")


def _ended(process: subprocess.Popen[bytes], mark: str, seconds: float) -> bool:
    """Wait until none of a server's processes runs, at most so long."""
    end = time.monotonic() + seconds
    while process.poll() is None or _marked(mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # gone, a zombie, or another user's
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found
