"""`python -m export npc train-remote` as a user runs it: it says where it listens, and stops in good order when told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from remote_engine import World, connect

from export import checkpoint
from export.npc.remote_env.train import KIND

SECONDS = 120


@contextmanager
def trainer(tmp_path: Path, *options: str):
    """The command's process and where it listens; its errors go to a file."""
    command = [sys.executable, "-m", "export", "npc", "train-remote", "--runs", str(tmp_path / "runs"), "--listen.port", "0"]
    command += ["--rollout-ticks", "32", "--batch", "64", "--steps", "1000000", *options]
    with (tmp_path / "errors.txt").open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line, (tmp_path / "errors.txt").read_text()
            yield process, SimpleNamespace(**json.loads(line))
        finally:
            process.kill()
            process.wait(SECONDS)
            process.stdout.close()


def stopped(process: subprocess.Popen[str]) -> str:
    """Tell the command to stop, as Ctrl+C does; return what else it printed."""
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    return output


def test_it_stops_while_it_waits_for_an_engine(tmp_path: Path) -> None:
    with trainer(tmp_path) as (process, _):
        stopped(process)
    assert "stopped while waiting for an engine" in (tmp_path / "errors.txt").read_text()


@pytest.mark.parametrize("is_lost", [False, True], ids=["in training", "while the engine is lost"])
def test_it_saves_when_it_is_stopped(tmp_path: Path, is_lost: bool) -> None:
    with trainer(tmp_path) as (process, server):
        engine = connect("stream", server, World(4))
        engine.play(turns=200)
        if is_lost:
            engine.link.close()
            while "does not answer" not in (tmp_path / "errors.txt").read_text():
                time.sleep(0.05)
        else:
            process.send_signal(signal.SIGINT)
            while (command := engine.next()).kind != 4:
                engine.send(engine.do(command))
            assert command.message == "the training is over"
        output = stopped(process) if is_lost else process.communicate(timeout=SECONDS)[0]
        assert process.returncode == 0
    folder = tmp_path / "runs/npc/remote"
    assert output.strip().endswith(str(folder))
    assert checkpoint.load(folder / "checkpoint.pt", KIND)["steps"] > 0
    assert (folder / "policy.zip").exists()


def test_what_a_user_got_wrong_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "export", "npc", "train-remote", "--listen.host", "0.0.0.0", "--runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --host 0.0.0.0 can be reached from other machines")
    assert done.stderr.count("\n") == 1
