"""The bench measures real processes and writes every figure it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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
