"""Rules of the bench of peers: each is measured by a real client, ends whole, and one that fails is told with the reason."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
import tiny_models

from bench.peers import __main__ as peers
from bench.peers import environments, process_tree, running
from bench.peers.__main__ import Figures, PeersConfig, chosen, measure, report
from bench.peers.environments import Environment, PeerError, interpreter
from bench.peers.peers import PEERS, Peer
from bench.peers.running import peer_server
from bench.peers.target import PROGRAMS, target

BARE = Environment(())
SERVER = """
    import http.server, sys

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
CLIENT = """
    import http.client, sys
    sys.path.insert(0, PROGRAMS)
    from load import main
    from tick import ACTION, WIDTH

    assert (WIDTH, ACTION) == (3, {"name": "move", "dtype": "float32", "shape": [2]})

    def open_client(address):
        if int(sys.argv[2]) > MOST:
            raise ConnectionError("too many")
        connection = http.client.HTTPConnection(address)

        def call():
            connection.request("GET", "/")
            assert connection.getresponse().read() == b""

        return call

    main(open_client)
"""


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """Return a function that makes a peer of two programs, a plain Python its environment."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setattr(running, "PROGRAMS", programs)
    monkeypatch.setattr(environments, "CACHE", tmp_path / "cache")
    (tmp_path / "cache").mkdir()

    def write(server: str = SERVER, most_clients: int = 64, environment: Environment = BARE) -> Peer:
        (programs / "it.py").write_text(textwrap.dedent(server))
        client = textwrap.dedent(CLIENT).replace("PROGRAMS", repr(str(PROGRAMS))).replace("MOST", str(most_clients))
        (programs / "it_client.py").write_text(client)
        return Peer("It 1.0", "HTTP", environment, ("python", "it.py", "{port}"), "it_client.py")

    return write


def measured(peer: Peer, models: Path, clients: tuple[int, ...] = (1, 3)) -> str:
    """Return the report of a bench of one peer."""
    config, figures = PeersConfig(clients=clients, seconds=0.2), Figures("HTTP")
    policy = target(models, "guard")
    measure(config, policy, peer_server(peer), figures)
    return report(config, policy, {peer.name: figures})


def test_a_peer_is_measured_at_each_number_of_clients(peer, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "PEERS", (peer(),))
    out = tmp_path / "RESULTS.md"
    common = {"models": tiny_folder, "policy": "guard", "clients": (1, 3), "seconds": 0.2, "rounds": 2}
    peers.main(PeersConfig(only=("it",), out=out, **common))
    ((name, wire, *cells),) = rows(out)
    assert (name, wire) == ("It 1.0", "HTTP")
    assert len(cells) == 4
    assert all(float(number) > 0 for cell in cells for number in cell.replace(",", "").split(" / "))


@pytest.mark.parametrize("port", [0, 1])
def test_both_ports_of_the_sidecar_are_measured(port, tiny_folder):
    server, figures = running.sidecars(1)[port], Figures("")
    measure(PeersConfig(clients=(1, 3), seconds=0.2), target(tiny_folder, "guard"), server, figures)
    assert figures.reason == ""
    assert all(value > 0 for clients in (1, 3) for value in figures.median(clients))


def rows(out: Path) -> list[list[str]]:
    """Return the cells of a report's table."""
    lines = [line for line in out.read_text("utf-8").splitlines() if line.startswith("| It")]
    return [line.strip("| ").split(" | ") for line in lines]


def test_a_peer_that_cannot_be_installed_is_reported_with_the_reason(peer, tiny_folder):
    nowhere = Environment((), "/nowhere/python")
    with pytest.raises(PeerError, match=r"it could not be installed: .*/nowhere/python"):
        interpreter("it", nowhere)
    text = measured(peer(environment=nowhere), tiny_folder)
    assert "| It 1.0 | HTTP | - | - | - | - |" in text
    assert "* It 1.0: it could not be installed: " in text


def test_a_peer_that_ends_at_once_is_reported_with_the_end_of_its_log(peer, tiny_folder):
    text = measured(peer(server="import sys; print('first'); sys.exit('no such port\\n')"), tiny_folder)
    assert "| It 1.0 | HTTP | - | - | - | - |" in text
    assert re.search(r"\* It 1.0: It 1.0 does not serve: it ended with 1; its log .*it\.log ends with 'no such port'", text)


def test_a_peer_that_never_listens_is_given_up(peer, tiny_folder, monkeypatch):
    monkeypatch.setattr(running, "START_SECONDS", 0.5)
    text = measured(peer(server="import time; time.sleep(600)"), tiny_folder)
    assert re.search(r"does not serve: nothing listens on its port \d+ after 0.5 s; its log", text)


def test_a_peer_that_fails_under_load_keeps_what_was_measured_and_is_not_tried_again(peer, tiny_folder):
    config, figures = PeersConfig(clients=(1, 3), seconds=0.2), Figures("HTTP")
    policy, server = target(tiny_folder, "guard"), peer_server(peer(most_clients=2))
    for _ in range(2):
        measure(config, policy, server, figures)
    assert [len(figures.columns.get(clients, [])) for clients in (1, 3)] == [1, 0]
    assert "* It 1.0: it_client.py with 3 clients: ConnectionError: too many" in report(config, policy, {"It 1.0": figures})


def test_a_server_ends_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(process_tree, "STOP_SECONDS", 0.5)
    child = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({str(tmp_path / 'pid')!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(600)"
    )
    program = f"""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", {child!r}], start_new_session=True)
        middle = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
        subprocess.run([sys.executable, "-c", middle, {child!r}])
        import time; time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with process_tree.process_tree(command, {}, tmp_path / "log", tmp_path) as server:
        while len((tmp_path / "pid").read_text().split() if (tmp_path / "pid").exists() else []) < 2:
            assert server.poll() is None, (tmp_path / "log").read_text()
        children = [psutil.Process(int(pid)) for pid in (tmp_path / "pid").read_text().split()]
        assert any(child.ppid() != server.pid for child in children)
    assert server.poll() is not None
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_environments_are_the_same_for_every_checkout_and_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "CACHE", tmp_path)
    python = interpreter("it", BARE)
    made = python.stat().st_ctime_ns
    assert interpreter("it", BARE) == python
    assert python.stat().st_ctime_ns == made
    program = "import sys; print(sys.prefix)"
    assert subprocess.check_output([python, "-c", program], text=True).strip() == str(python.parents[1])
    assert not Path(BARE.python).is_relative_to(sys.prefix)


def test_a_policy_that_the_peers_cannot_run_is_refused(tmp_path):
    tiny_models.write_scout(tmp_path)
    with pytest.raises(ValueError, match=r'policy "scout" has the recurrent states \[.memory.\].*name another policy'):
        target(tmp_path, "scout")


def test_a_name_that_no_server_has_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"no server's name begins with triton; there are Metabridge, .*PyTriton 0"):
        chosen(("triton",))


def test_every_program_of_a_peer_is_there():
    for peer in PEERS:
        assert (PROGRAMS / peer.client).exists()
        assert any((PROGRAMS / part.split(":")[0]).with_suffix(".py").exists() for part in peer.server)
