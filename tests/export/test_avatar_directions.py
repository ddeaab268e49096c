"""Rules of sliders: directions move one attribute and hold the others, and are kept, measured and drawn as they were found."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_training import TINY
from torch import Tensor

from export.avatar import companions
from export.avatar.classifier import AttributePredictor
from export.avatar.commands import named_values
from export.avatar.control_fit import FitConfig, fit_controls
from export.avatar.control_report import measure_controls, save_sheet, slider_positions, table, without_weak
from export.avatar.controls import Controls, Slider
from export.avatar.directions import (
    RIDGE,
    WhiteSpace,
    draw,
    draw_straight_through,
    factorised,
    held_apart,
    regress,
    sample_styles,
    style_weights,
)
from export.avatar.model import Generator, ModelConfig
from export.avatar.sample import generate
from export.avatar.to_onnx import control_graph
from export.onnx_model import export_graph
from export.parity import check_parity

PALETTE = ModelConfig(image_size=32, pixel_size=2, palette_size=6, latent_size=8, mapping_layers=1, channels=(4, 4, 4))


def tiny(config: ModelConfig = TINY) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        generator = Generator(config)
        generator.mapping.w_mean.normal_()
        if generator.synthesis.palette is not None:
            generator.synthesis.palette.colours.uniform_(-1.0, 1.0)
    return generator.eval().requires_grad_(False)


class Brightness(AttributePredictor):
    """Reads how bright the left and the right half of a picture are: a predictor that needs no training."""

    def __init__(self) -> None:
        super().__init__(("left", "right"), 3, 32)

    def forward(self, images: Tensor) -> Tensor:
        return 8.0 * torch.stack([half.mean(dim=(1, 2, 3)) for half in images.split(16, dim=3)], dim=1)


def two_sliders() -> Controls:
    directions = torch.randn(2, TINY.num_layers, 8, generator=torch.Generator().manual_seed(0)).half().float()
    return Controls(
        (Slider("left", -1.5, 1.0, "left"), Slider("axis_1", -1.0, 1.0, "axis", {"moves_identity": 0.5})), directions
    )


def test_sliders_that_bring_too_few_faces_over_are_left_out() -> None:
    controls = two_sliders()
    left, axis = controls.sliders
    weak = dataclasses.replace(left, measured={"flips_on": 0.21})
    kept, gone = without_weak(Controls((weak, axis), controls.directions), 0.5)
    assert (kept.sliders, gone) == ((axis,), [weak])
    assert torch.equal(kept.directions, controls.directions[1:])
    assert without_weak(Controls((weak, axis), controls.directions), 0.2)[0].sliders == (weak, axis)
    with pytest.raises(ValueError, match=r"no slider brings 50% of .* from without to with; lower --fit\.least"):
        without_weak(Controls((weak,), controls.directions[:1]), 0.5)


def test_white_styles_have_unit_covariance() -> None:
    w = torch.randn(4000, 8, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.linspace(0.1, 3.0, 8)) + 2.0
    white = WhiteSpace.of(w)
    x = white.whiten(w)
    torch.testing.assert_close(x.T @ x / len(x), torch.eye(8), atol=0.02, rtol=0.0)
    torch.testing.assert_close(white.mean + x @ white.root.T, w, atol=1e-3, rtol=0.0)


def test_styles_that_do_not_vary_still_have_a_white_space() -> None:
    w = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    w[:, 3] = 1.0
    assert torch.isfinite(WhiteSpace.of(w).whiten(w)).all()


def test_regression_finds_the_slopes() -> None:
    x = torch.randn(5000, 8, generator=torch.Generator().manual_seed(0))
    slopes = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    found = regress(x, x @ slopes.T + 5.0)
    torch.testing.assert_close(found * (1.0 + RIDGE), slopes, atol=0.02, rtol=0.02)


@given(st.integers(0, 2**32 - 1))
def test_a_move_changes_its_own_attribute_and_hardly_another(seed: int) -> None:
    slopes = torch.randn(4, 32, generator=torch.Generator().manual_seed(seed))
    effects = held_apart(slopes) @ (slopes / slopes.norm(dim=1, keepdim=True)).T
    own = effects.diagonal()
    assert (own > 0.5).all()
    assert ((effects - torch.diag(own)).abs() < 0.1 * own[:, None]).all()


def test_attributes_that_no_style_tells_apart_get_short_moves() -> None:
    slopes = torch.ones(2, 8)
    moves = held_apart(slopes)
    assert torch.isfinite(moves).all()
    torch.testing.assert_close(moves.norm(dim=1), torch.ones(2))


def test_factorised_axes_are_the_eigenvectors_that_leave_attributes_alone() -> None:
    generator = tiny()
    white = WhiteSpace(torch.zeros(8), torch.eye(8))
    free = factorised(generator, white, torch.empty(0, 8), 3)
    weights = style_weights(generator)
    values = torch.linalg.eigvalsh(weights.T @ weights).flip(0)
    torch.testing.assert_close((weights @ free.T).square().sum(0), values[:3])
    slopes = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    axes = factorised(generator, white, slopes, 3)
    torch.testing.assert_close(axes @ slopes.T, torch.zeros(3, 2), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(axes @ axes.T, torch.eye(3), atol=1e-5, rtol=0.0)


def test_drawing_straight_through_shows_the_palette_and_has_the_gradient_of_its_blend() -> None:
    generator = tiny(PALETTE)
    w = sample_styles(generator, 3, np.random.default_rng(0))[:, None].repeat(1, PALETTE.num_layers, 1)
    noise = torch.randn(3, PALETTE.noise_size, generator=torch.Generator().manual_seed(0))
    w.requires_grad_(True)
    shown, blend = draw_straight_through(generator, w, noise), generator.synthesis(w, noise)
    with torch.no_grad():
        torch.testing.assert_close(shown, generator.synthesis(w, noise), atol=1e-6, rtol=0.0)
    assert not torch.allclose(shown, blend)
    weight = torch.randn(shown.shape, generator=torch.Generator().manual_seed(1))
    one, two = (torch.autograd.grad((image * weight).sum(), w)[0] for image in (shown, blend))
    torch.testing.assert_close(one, two)


@pytest.fixture(scope="module")
def fitted() -> tuple[Generator, Controls]:
    generator = tiny()
    config = FitConfig(faces=256, steps=15, batch=16, calibration=32, axes=1, least=0.0)
    return generator, fit_controls(generator, Brightness().eval(), config)


def test_sliders_found_for_attributes_move_them(fitted: tuple[Generator, Controls]) -> None:
    generator, controls = fitted
    assert [slider.name for slider in controls.sliders] == ["left", "right", "axis_1"]
    w = sample_styles(generator, 64, np.random.default_rng(5), 0.7)[:, None].expand(-1, TINY.num_layers, -1)
    noise = torch.zeros(64, TINY.noise_size)
    for index in (0, 1):
        low, high = (
            Brightness()(draw(generator, w + value * controls.directions[index], noise)).mean(0) for value in (-1.0, 1.0)
        )
        change = (high - low).tolist()
        assert change[index] > 0
        assert change[index] > change[1 - index]


def test_the_same_seed_finds_the_same_sliders(fitted: tuple[Generator, Controls]) -> None:
    generator, controls = fitted
    config = FitConfig(faces=256, steps=15, batch=16, calibration=32, axes=1, least=0.0)
    again = fit_controls(generator, Brightness().eval(), config)
    assert again.sliders == controls.sliders
    assert torch.equal(again.directions, controls.directions)


def test_sliders_that_do_not_work_are_left_out() -> None:
    class Constant(Brightness):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * 1e-3 - 1.0

    config = FitConfig(faces=32, steps=1, batch=4, calibration=8, axes=1)
    assert [slider.name for slider in fit_controls(tiny(), Constant().eval(), config).sliders] == ["axis_1"]
    with pytest.raises(ValueError, match="no sliders found: no attribute could be moved and axes is 0"):
        fit_controls(tiny(), None, dataclasses.replace(config, axes=0))


def test_measurements_are_shares_and_distances(fitted: tuple[Generator, Controls]) -> None:
    generator, controls = fitted
    measured = measure_controls(generator, controls, Brightness().eval(), faces=32, compared=3).sliders
    for slider in measured[:2]:
        assert slider.measured["without_it"] + slider.measured["with_it"] == 32
        for name in ("flips_on", "flips_off", "changes_others"):
            assert 0.0 <= slider.measured.get(name, 0.0) <= 1.0
    for slider in measured:
        assert slider.measured["moves_identity"] > 0.0
    assert "flips_on" not in measured[2].measured
    still = Controls(controls.sliders, torch.zeros_like(controls.directions))
    for slider in measure_controls(generator, still, Brightness().eval(), faces=32, compared=3).sliders:
        assert slider.measured["moves_identity"] == slider.measured["changes_others"] == 0.0
        assert slider.measured.get("flips_on", 0.0) == slider.measured.get("flips_off", 0.0) == 0.0
    lines = table(Controls(measured, controls.directions)).splitlines()
    assert len(lines) == 2 + 3
    assert len({line.count("|") for line in lines}) == 1


def test_a_sheet_has_one_row_for_each_slider_with_the_untouched_face_in_the_middle(tmp_path: Path) -> None:
    generator, controls = tiny(), two_sliders()
    assert slider_positions(controls.sliders[0]) == pytest.approx([-1.5, -1.0, -0.5, 0.0, 1 / 3, 2 / 3, 1.0])
    w = sample_styles(generator, 1, np.random.default_rng(0))[:, None].expand(-1, TINY.num_layers, -1)
    noise = torch.zeros(1, TINY.noise_size)
    save_sheet(generator, controls, w, noise, tmp_path / "a" / "sheet.png", enlarge=1)
    with Image.open(tmp_path / "a" / "sheet.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (64, 130 + 7 * 32, 3)
    middle = pixels[:, 130 + 3 * 32 : 130 + 4 * 32]
    assert np.array_equal(middle[:32], middle[32:])


def test_values_are_put_in_order() -> None:
    controls = two_sliders()
    assert controls.values({"axis_1": -0.5}).tolist() == [0.0, -0.5]
    torch.testing.assert_close(
        controls.offset({"axis_1": -0.5, "left": 1.0}), controls.directions[0] - 0.5 * controls.directions[1]
    )


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({"beard": 0.1}, r'no control "beard"; this generator has \[\'left\', \'axis_1\'\]'),
        ({"left": 1.1}, 'control "left" is 1.1; it must be from -1.5 to 1'),
        ({"left": float("nan")}, 'control "left" is nan'),
    ],
)
def test_values_not_offered_are_refused(given_values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        two_sliders().values(given_values)


def test_words_of_the_command_line_name_values() -> None:
    assert named_values(["glasses=0.8", "hair_length=-0.4"]) == {"glasses": 0.8, "hair_length": -0.4}
    for word in ("glasses", "glasses=", "=1", "glasses=much", "glasses=nan", "glasses=inf"):
        with pytest.raises(ValueError, match="give each slider once as NAME=VALUE"):
            named_values([word])
    with pytest.raises(ValueError, match='--control is "a=2"'):
        named_values(["a=1", "a=2"])


def test_directions_must_fit_their_sliders() -> None:
    with pytest.raises(ValueError, match="2 sliders do not fit directions of shape"):
        Controls(two_sliders().sliders, torch.zeros(1, 8, 8))


def test_controls_are_kept_beside_a_checkpoint_for_one_state_of_the_generator(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generator, controls = tiny(), two_sliders()
    assert companions.read_controls(tmp_path, generator) is None
    companions.write_controls(controls, tmp_path, generator)
    again = companions.read_controls(tmp_path, generator)
    assert again is not None
    assert again.sliders == controls.sliders
    assert torch.equal(again.directions, controls.directions)
    generator.mapping.w_mean += 1.0
    with caplog.at_level(logging.WARNING):
        assert companions.read_controls(tmp_path, generator) is None
    assert "made for another state of the generator" in caplog.text


def test_the_control_graph_moves_styles_as_the_sampler_does(tmp_path: Path) -> None:
    generator, controls = tiny(), two_sliders()
    graph = control_graph(generator, controls)
    export_graph(graph, tmp_path / "control.onnx", {})
    assert check_parity(graph, tmp_path / "control.onnx", seed=0).error <= 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "control.onnx"), providers=["CPUExecutionProvider"])
    w = np.random.default_rng(0).standard_normal((3, TINY.num_layers, 8), np.float32)
    values = controls.values({"left": 0.8, "axis_1": -0.4})
    (moved,) = session.run(["w"], {"w_in": w, "controls": np.tile(values, (3, 1))})
    expected = w + controls.offset({"left": 0.8, "axis_1": -0.4}).numpy()
    np.testing.assert_allclose(moved, expected, atol=1e-5)
    (same,) = session.run(["w"], {"w_in": w, "controls": np.zeros((3, 2), np.float32)})
    assert np.array_equal(same, w)


def test_an_offset_of_nothing_draws_the_same_pictures() -> None:
    generator, controls = tiny(), two_sliders()
    plain = generate(generator, [1, 2])
    assert np.array_equal(generate(generator, [1, 2], offset=controls.offset({"left": 0.0})), plain)
    assert not np.array_equal(generate(generator, [1, 2], offset=controls.offset({"left": 1.0})), plain)


@pytest.mark.parametrize(("name", "value"), [("faces", 1), ("steps", -1), ("batch", 0), ("axes", -1)])
def test_a_fit_that_cannot_work_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be at least"):
        FitConfig(**{name: value})
