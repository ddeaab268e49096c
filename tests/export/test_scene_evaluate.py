"""Rules of the verdict: blocks share edges, seams are found, histograms compare, and a report is written."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
from scene_examples import SMALL_PRIOR, dataset, trained, world
from scipy.ndimage import gaussian_filter

from export.run_log import RunLog, write_config
from export.scene import baselines, block, data, default_command, evaluate, histograms, obedience, seams
from export.scene import trained as opened
from export.scene.classes import CELLS, GRASS, METRES_PER_CELL, WATER
from export.scene.hillshade import coloured, hillshade, shaded_grey
from export.scene.prior import Conditions
from export.scene.seams import seam_figures
from export.scene.tiles import Tiles, TileSource
from export.scene.trained import Trained

OPTIONS = {"steps": 2, "choice_temperature": 4.5}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tmp_path_factory.mktemp("run"), 3)


def test_tiles_of_a_block_share_the_bits_of_their_edges(model: Trained) -> None:
    (made,) = block.grow(model, [7], 3, **OPTIONS)
    assert len(made) == 9
    for (x, y), tile in made.items():
        if x < 2:
            assert tile.height[:, -1].tobytes() == made[x + 1, y].height[:, 0].tobytes()
        if y < 2:
            assert tile.height[-1].tobytes() == made[x, y + 1].height[0].tobytes()
    whole = block.joined(made, 3)
    assert whole.height.shape == (1, 3 * CELLS + 1, 3 * CELLS + 1)
    assert np.array_equal(whole.ground[0, CELLS : 2 * CELLS, :CELLS], made[0, 1].ground)


def test_a_tile_of_a_larger_block_is_the_same(model: Trained) -> None:
    """What lies further away than a tile's neighbours of earlier waves does not matter."""
    small, large = (block.grow(model, [7], side, **OPTIONS)[0] for side in (3, 4))
    for at in small:
        assert np.array_equal(small[at].codes, large[at].codes)


def test_waves_depend_on_earlier_ones_only() -> None:
    finished: set[block.Place] = set()
    for wave in block.order(5):
        for x, y in wave:
            assert not {(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)} & set(wave)
        finished |= set(wave)
    assert len(finished) == 25


def large(step: float = 0.0, change: bool = False) -> Tiles:
    """Two by two tiles of gentle waves, with a step between the tiles and other ground and objects on the right."""
    rng = np.random.default_rng(0)
    height = gaussian_filter(rng.normal(0.0, 10.0, (1, 129, 129)), (0.0, 2.0, 2.0))
    height[:, :, 65:] += step
    ground, objects = rng.integers(0, 2, (2, 1, 128, 128)).astype(np.uint8)
    ground[:, :, 64:] += 4 * change
    objects[:, :, 64:] += 2 * change
    return Tiles(height.astype(np.float32), ground, objects)


def test_a_border_that_cannot_be_told_has_ratios_of_one() -> None:
    found = seam_figures(large())
    assert all(found[f"{name}_ratio"] == pytest.approx(1.0, abs=0.2) for name in seams.KINDS)


def test_a_step_and_a_change_of_classes_show_at_the_border() -> None:
    found = seam_figures(large(step=8.0, change=True))
    assert found["step_ratio"] > 2.0
    assert found["bend_ratio"] > 2.0
    assert found["ground_mismatch_ratio"] > 1.4
    assert found["object_mismatch_ratio"] > 1.4
    assert seam_figures(large(change=True))["step_ratio"] == pytest.approx(1.0, abs=0.2)


def test_histograms_of_equal_sets_are_not_apart_and_of_others_they_are() -> None:
    tiles = TileSource([world()]).draw(4, 1)
    assert histograms.compare(tiles, tiles) == {"slope": 0.0, "height": 0.0}
    lifted = Tiles(tiles.height * 8.0 + 30.0, tiles.ground, tiles.objects)
    assert histograms.compare(tiles, lifted)["height"] > 0.8


def test_noise_has_the_mean_and_deviation_of_the_tiles_it_stands_for() -> None:
    tiles = TileSource([world()]).draw(3, 1)
    noise = baselines.noise_terrain(tiles)
    assert np.allclose(noise.height.std(axis=(1, 2)), tiles.height.std(axis=(1, 2)), rtol=1e-4)
    assert np.allclose(noise.height.mean(axis=(1, 2)), tiles.height.mean(axis=(1, 2)), atol=1e-3)


def test_shuffled_codes_are_the_same_in_another_order() -> None:
    codes = np.arange(2 * 256).reshape(2, 16, 16)
    shuffled = baselines.shuffled_codes(codes)
    assert not np.array_equal(codes, shuffled)
    assert np.array_equal(np.sort(shuffled.reshape(2, -1)), codes.reshape(2, -1))


def test_the_sun_stands_in_the_north_west() -> None:
    level = np.zeros((3, 3), np.float32)
    column, row = np.meshgrid(np.arange(3.0), np.arange(3.0))
    assert np.allclose(hillshade(level, 1.0), np.sin(np.pi / 4))
    assert (hillshade(row + column, 1.0) > 0.9).all()  # rises to the south-east, faces the sun
    assert (hillshade(-row - column, 1.0) < 0.1).all()
    assert shaded_grey(level[None], 1.0).shape == (1, 3, 2, 2)
    assert coloured(level, np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), 1.0).shape == (2, 2, 3)


def test_a_report_and_a_default_page_are_written(model: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {"train": dataset([world(0), world(1)]), "held-out": dataset([world(2)], "held-out")}
    monkeypatch.setattr(data, "load", lambda *_, split, **__: sets[split])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(default_command, "open_trained", lambda _: model)
    other = trained(tmp_path / "other", 3, model=dataclasses.replace(SMALL_PRIOR, kind="autoregressive"))
    monkeypatch.setattr(evaluate, "open_trained", lambda _: other)
    run = tmp_path / "run"
    with RunLog(run) as log:
        for step in (10, 20):
            log.scalars({"loss/codes": 5.0 - step / 20, "held-out/nats": 5.0}, step)
    write_config(run, {})
    monkeypatch.setattr(default_command, "EvaluateConfig", functools.partial(evaluate.EvaluateConfig, blocks=1, asked=2))
    default_command.DefaultConfig(
        source=str(run), name="waves", folder=tmp_path / "defaults", autoregressive="other", count=4, cache=tmp_path / "cache"
    ).run()
    report = opened.load_default("waves", tmp_path / "defaults").record["metrics"]
    assert report["fd_vgg"].keys() >= {"generated", "held_out_halves", "noise_terrain", "shuffled_codes", "autoregressive"}
    assert report["reconstruction"]["height_mae_m"] > 0.0
    assert report["tiles_per_second"]["ratio"] > 0.0
    page = (tmp_path / "defaults" / "waves.md").read_text("utf-8")
    assert "FD-VGG of the hillshade, 4 tiles against 4 held-out ones" in page
    assert "![Slopes and heights" in page
    assert "| object mismatch |" in page
    assert "| painted sand |" in page
    assert (tmp_path / "defaults" / "waves-blocks.png").is_file()
    assert "![How the last run learned](waves-curves.png)" in page
    assert (tmp_path / "defaults" / "waves-curves.png").is_file()


def test_a_part_of_a_default_is_measured_again_and_the_rest_stays(
    model: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda *_, split, **__: dataset([world(2)], split))
    monkeypatch.chdir(tmp_path)
    before = {"tiles_per_second": {"masked": 1.0}, "seams": {}}
    measured = dataclasses.replace(model, record=model.record | {"metrics": before})
    monkeypatch.setattr(default_command, "open_trained", lambda _: measured)
    monkeypatch.setattr(default_command, "EvaluateConfig", functools.partial(evaluate.EvaluateConfig, blocks=1))
    default_command.DefaultConfig(source="waves", name="waves", folder=tmp_path / "defaults", parts=("seams",)).run()
    metrics = opened.load_default("waves", tmp_path / "defaults").record["metrics"]
    assert metrics["tiles_per_second"] == before["tiles_per_second"]
    assert metrics["seams"].keys() == {"generated", "data"}
    assert metrics.keys() == before.keys()


def test_what_conditions_do_is_what_tiles_have_that_are_asked_for_it() -> None:
    def obedient(asked: Conditions) -> Tiles:
        """Slopes and water as asked, the class painted; level grass where nothing is asked, and whatever biome is."""
        brush = int(asked.painted[0, 0, 0])
        rise = METRES_PER_CELL * max(float(asked.ruggedness[0]), 0.0)
        height = np.tile(np.arange(CELLS + 1) * rise, (len(asked.biome), CELLS + 1, 1)).astype(np.float32)
        ground = np.full((len(height), CELLS, CELLS), brush if brush >= 0 else GRASS, np.uint8)
        ground[:, : round(CELLS * max(float(asked.water_share[0]), 0.0))] = WATER
        return Tiles(height, ground, np.zeros_like(ground))

    found = obedience.measure(obedient, 2, 16)
    exact = {"0.1": 0.1, "0.25": 0.25, "0.5": 0.5, "0.75": 0.75}
    assert found["asked"]["ruggedness"] == pytest.approx(exact, abs=1e-4)
    assert found["asked"]["water_share"] == pytest.approx(exact, abs=0.01)
    assert set(found["asked"]["painted"].values()) == {1.0}
    assert (found["asked"]["biome"]["plains"], found["asked"]["biome"]["water"]) == (1.0, 0.0)
    assert found["nothing_asked"]["painted"]["grass"] == 1.0
    assert ("painted sand", 1.0, 0.0) in obedience.rows(found)
    assert ("biome water", 0.0, 0.0) in obedience.rows(found)
