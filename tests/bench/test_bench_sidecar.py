"""Rules of the benches of the sidecar: they measure real servers, and what cannot be measured is reported with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench import servers
from bench.peers import __main__ as peers
from bench.peers.environments import Environment, PeerError, interpreter
from bench.peers.peers import PEERS, PROGRAMS, Peer, Target
from bench.servers import ServersConfig

NOWHERE = Environment((), "/nowhere/python")


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


def test_a_peer_that_cannot_be_installed_is_reported_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.peers.environments.CACHE", tmp_path)
    with pytest.raises(PeerError, match=r"it could not be installed: .*/nowhere/python"):
        interpreter("it", NOWHERE)
    config, measured = peers.PeersConfig(clients=(1,)), {}
    peer = Peer("It 1.0", "HTTP", NOWHERE, ("python", "it.py"), "it_client.py")
    peers._job(config, Target(tmp_path, "guard", tmp_path / "policy.onnx", 0), measured, peer)()
    text = peers.report(config, measured)
    assert "| It 1.0 | HTTP | - | - |" in text
    assert "* It 1.0: it could not be installed: " in text


def test_every_program_of_a_peer_is_there():
    for peer in PEERS:
        assert (PROGRAMS / peer.client).exists()
        assert any((PROGRAMS / part.split(":")[0]).with_suffix(".py").exists() for part in peer.server)


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
