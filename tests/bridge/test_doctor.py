"""`python -m bridge doctor` finds what is wrong and says what to do."""

from __future__ import annotations

import socket

import pytest
import tiny_models

from bridge.__main__ import main


@pytest.fixture
def port():
    """A port that is free, and whose next one is: the doctor probes both."""
    for _ in range(100):
        with socket.socket() as probe, socket.socket() as following:
            probe.bind(("127.0.0.1", 0))
            number = probe.getsockname()[1]
            try:
                following.bind(("127.0.0.1", number + 1))
            except (OSError, OverflowError):
                continue
            return number
    raise AssertionError("no two free ports beside each other in 100 tries")


def told(capsys, port, models):
    code = main(["doctor", "--models", str(models), "--port", str(port)])
    lines = capsys.readouterr().out.splitlines()
    return code, lines


def test_a_good_folder_is_found_good(tmp_path, capsys, port):
    tiny_models.write_npc(tmp_path)
    tiny_models.write_portrait(tmp_path)
    code, lines = told(capsys, port, tmp_path)
    assert code == 0, lines
    text = "\n".join(lines)
    assert "ok   Python 3." in text
    assert f"ok   127.0.0.1:{port} is free" in text
    assert "CPUExecutionProvider" in text
    assert "ok   guard 1: npc, 1 graphs" in text
    assert "ok   portrait 1: avatar, 4 graphs" in text


def test_each_bundle_that_is_bad_is_named_with_what_to_do(tmp_path, capsys, port):
    tiny_models.write_npc(tmp_path)
    graph = tiny_models.write_npc(tmp_path, "broken") / "policy.onnx"
    graph.write_bytes(graph.read_bytes()[:-7])
    (tiny_models.write_npc(tmp_path, "cardless") / "card.json").unlink()
    code, lines = told(capsys, port, tmp_path)
    bad = [line for line in lines if line.startswith("bad")]
    assert code == 1
    assert len(bad) == 2
    assert "sha256 is" in bad[0]
    assert "export it again" in bad[0]
    assert "cardless 1" in bad[1]
    assert any(line.startswith("ok   guard 1") for line in lines)


def test_a_busy_port_and_a_missing_folder_are_bad(tmp_path, capsys):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        number = busy.getsockname()[1]
        code, lines = told(capsys, number, tmp_path / "nothing")
    assert code == 1
    assert any(f"127.0.0.1:{number} cannot be bound" in line and "choose another --port" in line for line in lines)
    assert any("cannot be read" in line and "--models" in line for line in lines)
