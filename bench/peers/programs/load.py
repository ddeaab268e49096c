"""Closed-loop load: clients in threads that call without a pause. Standard library alone: it runs in every environment."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable

Call = Callable[[], object]


def main(open_client: Callable[[str], Call]) -> None:
    """Run as `CLIENT ADDRESS CLIENTS SECONDS`: print as JSON the milliseconds of each call and the seconds that all took.

    `open_client` opens a connection to the address and returns a function that makes one call and checks its answer.
    """
    address, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    times: list[list[float]] = [[] for _ in range(count)]
    errors: list[str] = []
    warm, go = threading.Barrier(count + 1), threading.Event()
    end = [0.0]

    def run(column: list[float]) -> None:
        try:
            call = open_client(address)
            for _ in range(5):
                call()
            warm.wait()
            go.wait()
            while True:
                start = time.perf_counter()
                if start >= end[0]:
                    return
                call()
                column.append((time.perf_counter() - start) * 1000)
        except threading.BrokenBarrierError:
            return
        except BaseException as error:  # one client that fails makes the measurement worthless, whatever it was
            errors.append(f"{type(error).__name__}: {error}"[:500])
            warm.abort()

    threads = [threading.Thread(target=run, args=(column,), daemon=True) for column in times]
    for thread in threads:
        thread.start()
    try:
        warm.wait()
    except threading.BrokenBarrierError:
        threads[0].join(5)
    begin = time.perf_counter()
    end[0] = begin + seconds
    go.set()
    for thread in threads:
        thread.join(seconds + 60)
    print(json.dumps({"ms": [t for column in times for t in column], "seconds": time.perf_counter() - begin, "errors": errors}))
