"""The bench measures real processes and writes every figure it promises."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_scene

from bench.scene_streaming import block, made

ROOT = Path(__file__).resolve().parents[2]


def test_the_bench_writes_every_case_with_machine_and_command(tiny_folder, tmp_path):
    out = tmp_path / "RESULTS.md"
    options = [
        "--models",
        str(tiny_folder),
        "--policy",
        "guard",
        "--avatar",
        "face",
        "--seconds",
        "0.2",
        "--idle-seconds",
        "0.2",
    ]
    command = [sys.executable, "-m", "bench.run", *options, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    text = out.read_text("utf-8")
    assert "python -m bench.run" in text
    rows = [line for line in text.splitlines() if re.match(r"\| (ChooseActions|GenerateAvatars)", line)]
    assert len(rows) == 5
    for row in rows:
        overheads = [float(cell) for cell in row.strip("| ").split("|")[-2:]]
        assert all(value > 0 for value in overheads)
    assert "start of the process to SERVING" in text
    assert "MiB" in text


@pytest.mark.timeout(900)
def test_an_hour_of_a_game_can_be_short_and_mixes_every_family_with_reloads(tiny_folder, island_folder, tmp_path):
    models, out = tmp_path / "models", tmp_path / "RESULTS.md"
    for bundle in (tiny_folder / "guard", tiny_folder / "face", island_folder / "island"):
        shutil.copytree(bundle, models / bundle.name)
    names = ["--policy", "guard", "--avatar", "face", "--scene", "island", "--agents", "3", "--ticks", "7300"]
    command = [sys.executable, "-m", "bench.soak", "--models", str(models), *names, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = dict(line.strip("| ").split(" | ") for line in out.read_text("utf-8").splitlines() if line.startswith("| "))
    assert figures["ticks"] == "7,300 (of 7,300) of 3 agents"
    counts = [figures[f"{name} calls"] for name in ("GenerateAvatars", "GenerateScene", "MorphAvatar", "StreamScenes")]
    assert counts == ["122", "13", "3", "3"]
    assert int(figures["versions of the policy that answered"]) > 1
    assert figures["failed calls"] == "0"


def test_the_morph_bench_measures_every_avatar_of_the_folder(tiny_folder, tmp_path):
    out = tmp_path / "RESULTS.md"
    options = ["--models", str(tiny_folder), "--frames", "40", "--seconds", "0.4", "--out", str(out)]
    command = [sys.executable, "-m", "bench.avatar_morph", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    text = out.read_text("utf-8")
    assert "python -m bench.avatar_morph" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| (face|portrait) ", line)]
    assert [row[0] for row in rows] == ["face", "portrait"]
    for row in rows:
        numbers = [float(cell) for cell in row[1:]]
        assert len(numbers) == 6
        assert all(rate > 0 for rate in numbers[1:3])


def test_the_throughput_bench_has_a_row_for_each_number_of_images_and_a_column_for_each_of_calls(tiny_folder, tmp_path):
    out = tmp_path / "RESULTS.md"
    options = ["--models", str(tiny_folder), "--avatar", "face", "--turns", "2", "--turn-seconds", "0.05", "--out", str(out)]
    command = [sys.executable, "-m", "bench.avatar_throughput", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    text = out.read_text("utf-8")
    assert "python -m bench.avatar_throughput" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| GenerateAvatars")]
    assert [re.search(r"\d+", row[0]).group() for row in rows] == ["1", "4", "16"]
    for row in rows:
        figures = [float(figure.replace(",", "")) for cell in row[1:] for figure in cell.split(";")]
        assert len(figures) == 7
        assert all(figure > 0 for figure in (figures[0], *figures[1::2]))


def test_the_streaming_bench_measures_fresh_worlds_and_what_a_tile_is_made_of(tmp_path):
    tiny_scene.write_scene(tmp_path / "models", "terrain")
    out = tmp_path / "RESULTS.md"
    options = ["--models", str(tmp_path / "models"), "--side", "3", "--worlds", "2", "--out", str(out)]
    command = [sys.executable, "-m", "bench.scene_streaming", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    text = out.read_text("utf-8")
    assert "python -m bench.scene_streaming --models" in text
    assert "for 9 tiles 9 are made" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    values = [float(row[-1].split(";")[0]) for row in rows[2:7]]
    assert len(values) == 5
    assert all(value >= 0 for value in values)
    assert values[0] > 0
    shares = [row for row in rows if row[-1].endswith("%")]
    assert [row[0] for row in shares][:3] == ["prior, 3 steps", "drawing codes from its logits", "decoder"]
    assert 95 <= sum(int(row[-1].rstrip("%")) for row in shares) <= 105


def test_the_tiles_that_are_made_are_those_asked_for_and_those_they_depend_on():
    assert made([(0, 0)]) == 1
    assert made([(1, 0)]) == 3
    assert made([(1, 1)]) == 9
    assert made(block(2)) == 9
    assert made(block(3)) == 9
    assert made(block(6)) == 49


def test_without_a_bundle_the_streaming_bench_says_how_to_get_one(tmp_path):
    command = [sys.executable, "-m", "bench.scene_streaming", "--models", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert 'no scene bundle "terrain"' in done.stderr
