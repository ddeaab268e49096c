"""Rules of `python -m export avatar`: each stage is one command and one file on disk."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bridge.model_card import read_card
from export.avatar import commands
from export.avatar.commands import main

TINY = ("--model.channels", "4", "4", "4", "4", "--model.latent-size", "8", "--faces", "16", "--batch", "8", "--threads", "1")


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "export", "avatar", *words]


def run(folder: Path, *words: str) -> str:
    """Runs a command from an empty folder and returns the last line it prints."""
    done = subprocess.run(command(folder, *words), cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_train_sample_and_onnx_follow_each_other(tmp_path: Path) -> None:
    checkpoint = run(tmp_path, "train", "--run", "tiny", "--kimg", "0.032", *TINY)
    assert checkpoint == "runs/avatar/tiny/checkpoint.pt"
    picture = run(tmp_path, "sample", "--from", checkpoint, "--seed", "3", "9", "--enlarge", "2", "--out", "out/two.png")
    with Image.open(tmp_path / picture) as image:
        assert image.size == (128, 64)
    bundle = run(tmp_path, "onnx", "--from", "runs/avatar/tiny", "--name", "tiny", "--models", "models")
    assert bundle == "models/tiny/1"
    card = read_card(tmp_path / bundle / "card.json")
    assert [graph.name for graph in card.graphs] == ["mapping", "synthesis"]
    assert {path.name for path in (tmp_path / bundle).iterdir()} == {"card.json", "mapping.onnx", "synthesis.onnx"}


def test_an_interrupted_run_saves_what_it_has(tmp_path: Path) -> None:
    words = ("train", "--run", "tiny", "--minutes", "5", "--log-every", "1", *TINY)
    process = subprocess.Popen(command(tmp_path, *words), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stderr
        seen = b""
        while b"loss/generator" not in seen:
            part = process.stderr.read1(4096)
            assert part, seen.decode()
            seen += part
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
    assert process.returncode == 0, errors.decode()
    assert (tmp_path / output.decode().strip()).is_file()
    assert "; the same command with --resume goes on" in errors.decode().splitlines()[-1]


def test_the_default_needs_no_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep" / "faces.png"
    main(["sample", "--count", "12", "--columns", "4", "--out", str(path)])
    assert capsys.readouterr().out.strip() == str(path)
    with Image.open(path) as image:
        assert image.size == (4 * 32, 3 * 32)
        assert np.asarray(image).std() > 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "--from", "none"], 'error: "none" is neither a default'),
        (["onnx", "--name", "../up"], 'error: model name "../up" does not match'),
        (["sample", "--seed", "-1"], "error: seed is -1; it must be from 0 to 18446744073709551615"),
        (["sample", "--truncation", "nan"], "error: truncation is nan; it must be from 0 to 2"),
        (["sample", "--columns", "0"], "error: no grid with count 0, columns 0"),
        (["sample", "--enlarge", "100000000"], "error: no grid with count 0, columns 8, enlarge 100000000; "),
        (["train"], "error: no budget: give --minutes, --kimg or both"),
        (["train", "--kimg", "1", "--source", "folder", "--path", "/none"], 'error: "/none" is not a folder'),
        (["train", "--kimg", "1", "--device", "abacus"], 'error: device "abacus" cannot be used: Expected one of cpu'),
        (["train", "--kimg", "1", "--device", "cuda:99"], 'error: device "cuda:99" cannot be used'),
        (["train", "--kimg", "1", "--source", "folder"], 'error: the source is "folder", but no folder is named'),
        (
            ["train", "--kimg", "1", "--source", "ToonHead"],
            'error: DiceBear style "ToonHead" is not built in; use one of [\'toon-',
        ),
        (
            ["adapt", "--data", "avatars"],
            "error: \"avatars\" is neither a folder nor a built-in style; the styles are ['avataaars', 'adv",
        ),
    ],
)
def test_mistakes_get_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert str(stopped.value.code).startswith(message)
    assert "\n" not in str(stopped.value.code)
    assert not (tmp_path / "models").exists()


def test_networks_too_large_for_memory_get_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--kimg", "1", *TINY, "--model.latent-size", "100000000"])
    expected = r"error: not enough memory: .*you tried to allocate \d+ bytes.*; ask for .* a smaller --batch in training"
    assert re.fullmatch(expected, str(stopped.value.code))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 GiB free.\nSee"), "2.00 GiB; ask"),
        (
            RuntimeError("[enforce fail] err == 0. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
            "9 bytes; ask",
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (RuntimeError("the file cannot be read: not enough memory"), None),
    ],
)
def test_only_a_lack_of_memory_is_called_one(monkeypatch: pytest.MonkeyPatch, error: RuntimeError, code: str | None) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(commands, "train", fail)
    with pytest.raises(SystemExit if code else RuntimeError) as stopped:
        main(["train"])
    assert (code or str(error)) in str(stopped.value)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--batch", "0", "batch is 0; it must be above 0"),
        ("--minutes", "-1", "minutes is -1.0; it must not be below 0"),
        ("--mixing", "2", "mixing is 2.0; it must be from 0 to 1"),
        ("--model.image-size", "33", "image_size is 33; it must be a power of two from 32 to 1024"),
    ],
)
def test_impossible_options_are_explained(option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--kimg", "1", option, value])
    assert stopped.value.code == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train", ["Weight of the R1 penalty", "--model.image-size", "power of two from 32 to 1024"]),
        ("sample", ["--truncation", "1 for all the variety"]),
        ("onnx", ["--models", "models folder that the sidecar serves"]),
        ("default", ["--from", "checkpoint file or run folder"]),
    ],
)
def test_help_comes_from_the_configuration(name: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for word in words:
        assert word in text


@pytest.mark.parametrize(("words", "code"), [((), 2), (("toon",), 2), (("--help",), 0)])
def test_the_families_are_listed(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "export", *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    text = done.stdout + done.stderr
    assert "avatar   StyleGAN2" in text
    if words == ("toon",):
        assert '"toon" is not a family, expected one of' in text
