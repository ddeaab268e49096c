"""The demo, from the trainers to the report, with seconds in place of minutes; the engine has tests of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = demo("--out", str(folder), "--train-seconds", "2", "--faces", "256", "--no-engine")
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_the_pictures_are_there_and_not_empty(out):
    with Image.open(out / "avatars.png") as sheet:
        assert len(sheet.convert("RGB").getcolors(1 << 24)) > 60
    with Image.open(out / "npc.gif") as film:
        assert film.n_frames > 50


def test_the_report_has_parity_timings_and_says_that_the_engine_was_left_out(out):
    report = (out / "report.md").read_text("utf-8")
    assert "| pixel 1 | synthesis | 1, 2, 7, 64 |" in report
    assert "| Python, HTTP/2 | ChooseActions | 1000 |" in report
    assert "CPUExecutionProvider" in report or "CUDAExecutionProvider" in report
    assert "not run (ENGINE=0)" in report


def test_a_step_that_fails_ends_the_demo_with_what_to_do(tmp_path):
    done = demo("--out", str(tmp_path / "out"), "--train-seconds", "-1", "--no-engine")
    assert done.returncode == 1
    assert "demo failed" in done.stderr
