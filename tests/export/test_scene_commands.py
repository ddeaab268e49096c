"""Rules of `python -m export scene`: commands, their files, and errors in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_examples import trained, trainer

from export import checkpoint
from export.scene import commands
from export.scene.trained import Trained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    model: Trained = trained(folder, 1)
    assert model.vqvae.codes == 32
    return folder / "prior"


def test_data_of_a_folder_prints_the_datasheet_and_draws_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for number in range(2):
        Image.fromarray(rng.integers(0, 9000, (130, 130)).astype(np.uint16)).save(tmp_path / f"{number}.png")
    (tmp_path / "bad.raw").write_bytes(b"123")
    sheet = tmp_path / "out" / "sheet.png"
    commands.main(["data", "--source", "folder", str(tmp_path), "--licence", "CC0-1.0", "--out", str(sheet)])
    printed = capsys.readouterr()
    assert "skipped bad.raw: 3 bytes are not a square of 16-bit samples" in printed.out
    assert "CC0-1.0" in printed.out
    with Image.open(sheet) as picture:
        assert picture.size == (8 * 128, 6 * 128)


def test_sample_draws_tiles_and_blocks(run: Path, tmp_path: Path) -> None:
    tiles, block = tmp_path / "tiles.png", tmp_path / "block.png"
    base = ["sample", "--from", str(run), "--steps", "2", "--enlarge", "1"]
    commands.main([*base, "--count", "3", "--biome", "hills", "--ruggedness", "0.4", "--out", str(tiles)])
    commands.main([*base, "--block", "2", "--out", str(block)])
    with Image.open(tiles) as picture:
        assert picture.size == (3 * 64, 64)
    with Image.open(block) as picture:
        assert picture.size == (128, 128)


def test_onnx_publishes_a_bundle(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.main(["onnx", "--from", str(run), "--name", "waves", "--models", str(tmp_path)])
    assert capsys.readouterr().out.strip() == str(tmp_path / "waves" / "1")
    names = {file.name for file in (tmp_path / "waves" / "1").iterdir()}
    assert names == {"card.json", "prior.onnx", "decoder.onnx", "encoder.onnx"}


def test_a_vqvae_without_a_prior_is_refused_with_the_command_that_trains_one(tmp_path: Path) -> None:
    path = tmp_path / "terrain" / "checkpoint.pt"
    checkpoint.save(path, "scene-vqvae", trainer(tmp_path).state())
    with pytest.raises(SystemExit) as stop:
        commands.main(["onnx", "--from", str(path.parent), "--models", str(tmp_path / "models")])
    assert f"is a VQ-VAE without a prior; train one over its codes: python -m export scene prior --vqvae {path.parent}" in str(
        stop.value
    )
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "--from", "nothing"], '"nothing" is neither a default'),
        (["prior", "--vqvae", "nothing", "--ktiles", "1"], 'no checkpoint at "nothing"'),
        (["train"], "no budget: give --minutes, --ktiles or both"),
        (["data", "--source", "folder", "nothing"], '"nothing" is not a folder'),
    ],
)
def test_what_the_user_got_wrong_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        commands.main(arguments)
    assert str(stop.value).startswith("error: ")
    assert words in str(stop.value)
    assert "\n" not in str(stop.value)


def test_a_share_out_of_range_is_refused(run: Path) -> None:
    with pytest.raises(SystemExit, match=r"water_share is 1.5; it must be from 0 to 1, or -1"):
        commands.main(["sample", "--from", str(run), "--water-share", "1.5"])


@pytest.mark.parametrize("command", sorted(commands.COMMANDS))
def test_every_command_explains_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        commands.main([command, "--help"])
    assert commands.COMMANDS[command].__doc__.split()[0] in capsys.readouterr().out
