"""A sidecar that a test can kill and start again at the same address."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

STOP_SECONDS = 30


@dataclass
class SidecarProcess:
    """`python -m bridge serve` on a models folder with more `options`; `address` is the gRPC port's, `web` the web port's."""

    models: Path
    address: str = ""
    web: str = ""
    options: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and return when it is ready: on free ports at first, on the same ones from then on."""
        port, web_port = (self.address.rpartition(":")[2] or 0), (urlsplit(self.web).port or 0)
        command = [sys.executable, "-m", "bridge", "serve", "--models", str(self.models)]
        command += ["--port", str(port), "--web-port", str(web_port), "--providers", "cpu", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the sidecar ended with {self.process.wait(STOP_SECONDS)} before it was ready"
        ready = json.loads(line)
        assert not ready["refused"]
        self.address, self.web = ready["address"], ready["web"]

    def kill(self) -> None:
        """End it without any notice, as a crash does."""
        if self.process:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None


@contextlib.contextmanager
def sidecar(models: Path, *options: str) -> Iterator[SidecarProcess]:
    """Run a sidecar with more options until the block ends."""
    running = SidecarProcess(models, options=options)
    try:
        running.start()
        yield running
    finally:
        running.kill()
