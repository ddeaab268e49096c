"""The demo, from the trainers to the report, with seconds in place of minutes; the engine has tests of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_examples import trained

from demo.commands import DemoError, scene_source
from export.scene.trained import DEFAULT_NAME

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).resolve().parents[2]


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=840, check=False)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    runs, folder = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("demo") / "out"
    trained(runs, 3)
    scene = ("--scene", str(runs / "prior"))
    done = demo("--out", str(folder), "--train-seconds", "2", "--faces", "256", "--no-engine", *scene)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_the_pictures_are_there_and_not_empty(out):
    with Image.open(out / "avatars.png") as sheet:
        assert len(sheet.convert("RGB").getcolors(1 << 24)) > 60
    with Image.open(out / "npc.gif") as film:
        assert film.n_frames > 20
        film.seek(film.n_frames - 1)
        assert len(film.convert("RGB").getcolors(1 << 24)) > 60


def test_the_worlds_pictures_are_of_the_size_of_their_tiles(out):
    with Image.open(out / "world.png") as page:
        assert page.width > 5 * 64 * 4
        assert len(page.convert("RGB").getcolors(1 << 24)) > 60
    with Image.open(out / "reconstruction.png") as sheet:
        assert sheet.width > 4 * 64 * 3
    with Image.open(out / "extension.gif") as film:
        assert film.n_frames == 27
        bare = []
        for frame in (0, 12, 26):
            film.seek(frame)
            bare.append((np.asarray(film.convert("RGB")) == (228, 228, 222)).all(axis=2).mean())
    assert bare[0] > 0.5 > bare[1] > bare[2]
    with Image.open(out / "inpainting.gif") as film:
        assert film.n_frames == 10


def test_the_report_shows_the_world(out):
    report = (out / "report.md").read_text("utf-8")
    assert "`StreamScenes` sent 25 tiles" in report
    assert "| terrain 1 | prior | 1, 2, 7, 64 |" in report
    for name in ("world.png", "extension.gif", "reconstruction.png", "inpainting.gif"):
        assert f"({name})" in report


def test_without_a_default_worlds_are_left_out_and_a_missing_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("demo.commands.DEFAULTS", tmp_path)
    assert scene_source("default") is None
    (tmp_path / f"{DEFAULT_NAME}.safetensors").write_bytes(b"")
    assert scene_source("default") == "default"
    with pytest.raises(DemoError, match=r'nowhere" is neither "default" nor a prior\'s run folder'):
        scene_source(str(tmp_path / "nowhere"))


def test_the_report_says_how_many_requests_were_fulfilled(out):
    found = re.search(
        r"Of 64 requests the default assistant fulfilled (\d+), .*\n?.* for 2 s (\d+)\.", (out / "report.md").read_text("utf-8")
    )
    assert found
    assert int(found[1]) > 48
    assert int(found[2]) <= 64


def test_the_report_has_parity_timings_and_says_that_the_engine_was_left_out(out):
    report = (out / "report.md").read_text("utf-8")
    assert "| pixel 1 | synthesis | 1, 2, 7, 64 |" in report
    assert "| apprentice 1 | policy | 1 to 64 |" in report
    assert "| Python, HTTP/2 | ChooseActions | 1000 |" in report
    assert "CPUExecutionProvider" in report or "CUDAExecutionProvider" in report
    assert "not run (ENGINE=0)" in report


def test_a_step_that_fails_ends_the_demo_with_what_to_do(tmp_path):
    done = demo("--out", str(tmp_path / "out"), "--train-seconds", "-1", "--no-engine")
    assert done.returncode == 1
    assert "demo failed" in done.stderr
