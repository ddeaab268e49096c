"""The process that tries bundles (see `bridge.probe`): settings and then folders come in, a line each; reasons go out."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import msgspec

from bridge.bundle_loader import LoadOptions, load_bundle
from bridge.probe import ProbeSettings
from bridge.providers import CPU
from bridge.registry import UnservedModel
from bridge.services import family_modules

MIB = 1 << 20
MAX_REASON = 100_000
GRACE_SECONDS = 10
PR_SET_PDEATHSIG = 1
"""Of <linux/prctl.h>."""


def main() -> None:
    """Answer until standard input ends. What ONNX Runtime prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    logging.disable(logging.WARNING)  # the sidecar says the same when it loads the bundle itself
    _end_with_parent()
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=ProbeSettings)
    _go_first()
    if settings.providers == [CPU]:  # CUDA reserves address space far beyond what it uses
        _limit_memory(settings.memory_mib * MIB)
    with ThreadPoolExecutor(1) as executor:
        options = LoadOptions(
            settings.providers,
            settings.strict,
            executor,
            settings.command,
            settings.overrides,
            settings.allow_bare_onnx,
            settings.io_binding,
        )
        _answer(answers, "ready")
        for line in sys.stdin.buffer:
            _end_after(settings.seconds + GRACE_SECONDS)
            _answer(answers, _try(Path(json.loads(line)), options, settings.memory_mib))


def _try(folder: Path, options: LoadOptions, memory_mib: int) -> str:
    """Load a bundle and let go of it; return why it is refused, or nothing."""
    entry = load_bundle(folder, family_modules(), options)
    if not isinstance(entry, UnservedModel):
        return ""
    reason = entry.reason[:MAX_REASON]
    if "alloc" in reason.lower() or "MemoryError" in reason:
        reason += f"; a load may take {memory_mib} MiB, or what the machine has: see --load-memory-mib"
    return reason


def _answer(answers: IO[str], reason: str) -> None:
    answers.write(json.dumps(reason) + "\n")
    answers.flush()


def _end_with_parent() -> None:
    """Have the system end this process when the sidecar is gone, however it went (Linux).

    A load that hangs sees no end of input. A sidecar that went before this has sent no bundle, and input ends.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _go_first() -> None:
    """Let the system end this process before any other when memory is short, and write no core when it crashes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_memory(size: int) -> None:
    """Let this process take `size` bytes more than it has, and no more than the machine has free (Linux)."""
    if sys.platform == "linux":
        import resource

        most = _kib("/proc/self/status", "VmData") * 1024 + min(size, _kib("/proc/meminfo", "MemAvailable") * 1024 or size)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _kib(path: str, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(path).read_text("ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0


def _end_after(seconds: float) -> None:
    """End this process by itself if a load hangs and nobody is left to end it."""
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(math.ceil(seconds))


if __name__ == "__main__":
    main()
