"""Rules of the distances between sets of pictures: exact where the answer is known, and they rank what is closer first."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.avatar import dicebear_faces, metrics
from export.avatar.features import extract
from export.avatar.metrics import frechet, kernel_distance, nearest, precision_recall
from export.avatar.pictures import over

SEEDS = st.integers(0, 2**32 - 1)


def exact_gaussian(count: int, mean: np.ndarray, covariance: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draws features whose sample mean and sample covariance are exactly the given ones."""
    raw = np.random.default_rng(seed).standard_normal((count, len(mean)))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def rotation(width: int, rng: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((width, width)))[0]


def two_sets(seed: int, width: int = 6) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    shift, scale = rng.normal(size=width), rng.uniform(0.1, 3.0, width)
    return rng.standard_normal((40, width)), rng.standard_normal((50, width)) * scale + shift, rng


class TestFrechet:
    def test_commuting_gaussians_have_the_known_distance(self) -> None:
        first = exact_gaussian(50, np.array([1.0, 2.0, 3.0]), np.diag([1.0, 4.0, 9.0]))
        second = exact_gaussian(70, np.array([0.0, 2.0, 5.0]), np.diag([4.0, 4.0, 0.25]), seed=1)
        expected = (1 + 0 + 4) + (1 - 2) ** 2 + 0 + (3 - 0.5) ** 2
        assert frechet(first, second) == pytest.approx(expected, rel=1e-10)

    def test_general_gaussians_have_the_known_distance(self) -> None:
        one, two = np.array([[2.0, 0.8], [0.8, 1.0]]), np.array([[1.0, -0.5], [-0.5, 3.0]])
        # The square root's trace of a 2 x 2 matrix M is sqrt(tr M + 2 sqrt(det M)).
        root = np.sqrt(np.trace(one @ two) + 2 * np.sqrt(np.linalg.det(one @ two)))
        first, second = exact_gaussian(30, np.zeros(2), one), exact_gaussian(30, np.ones(2), two, seed=1)
        assert frechet(first, second) == pytest.approx(2.0 + 3.0 + 4.0 - 2 * root, rel=1e-10)

    def test_singular_covariances_are_no_obstacle(self) -> None:
        rng = np.random.default_rng(0)
        few = rng.standard_normal((5, 64))
        assert frechet(few, few) == pytest.approx(0.0, abs=1e-10)
        assert frechet(few, few + 2.0) == pytest.approx(4.0 * 64)
        constant = np.ones((5, 64))
        assert frechet(constant, few) == pytest.approx(
            np.square(few.mean(axis=0) - 1).sum() + few.var(axis=0, ddof=1).sum(), rel=1e-10
        )

    @settings(deadline=None)
    @given(SEEDS)
    def test_it_is_a_distance_that_motions_do_not_change(self, seed: int) -> None:
        first, second, rng = two_sets(seed)
        distance = frechet(first, second)
        assert distance > 0
        assert frechet(second, first) == pytest.approx(distance, rel=1e-9)
        turn, shift = rotation(6, rng), rng.normal(size=6) * 10
        assert frechet(first @ turn + shift, second @ turn + shift) == pytest.approx(distance, rel=1e-8)
        assert frechet(3 * first, 3 * second) == pytest.approx(9 * distance, rel=1e-9)
        assert frechet(first, first[rng.permutation(40)]) == pytest.approx(0.0, abs=1e-10)


class TestKernelDistance:
    @settings(deadline=None, max_examples=20)
    @given(SEEDS)
    def test_it_equals_the_sum_over_all_pairs(self, seed: int) -> None:
        first, second, _ = two_sets(seed)
        first, second = first[:8], second[:6]

        def kernel(a: np.ndarray, b: np.ndarray) -> float:
            return (sum(x * y for x, y in zip(a, b, strict=True)) / 6 + 1) ** 3

        def within(features: np.ndarray) -> float:
            pairs = [kernel(a, b) for i, a in enumerate(features) for j, b in enumerate(features) if i != j]
            return sum(pairs) / len(pairs)

        across = sum(kernel(a, b) for a in first for b in second) / 48
        expected = within(first) + within(second) - 2 * across
        assert metrics.squared_mmd(first, second) == pytest.approx(expected, rel=1e-9, abs=1e-9)

    @settings(deadline=None, max_examples=20)
    @given(SEEDS)
    def test_turning_both_sets_changes_nothing(self, seed: int) -> None:
        first, second, rng = two_sets(seed)
        turn = rotation(6, rng)
        ours = kernel_distance(first, second, block=20, blocks=5)
        turned = kernel_distance(first @ turn, second @ turn, block=20, blocks=5)
        assert turned.mean == pytest.approx(ours.mean, rel=1e-8, abs=1e-10)
        assert turned.deviation == pytest.approx(ours.deviation, rel=1e-8, abs=1e-10)

    def test_it_is_unbiased(self) -> None:
        rng = np.random.default_rng(0)
        values = [metrics.squared_mmd(*rng.standard_normal((2, 10, 4))) for _ in range(2000)]
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(2000)
        assert min(values) < 0 < max(values)

    def test_blocks_never_exceed_the_sets(self) -> None:
        first, second, _ = two_sets(0)
        whole = kernel_distance(first[:30], second[:30], block=1000, blocks=3)
        assert whole.mean == pytest.approx(metrics.squared_mmd(first[:30], second[:30]))
        assert whole.deviation == pytest.approx(0.0, abs=1e-9)
        assert kernel_distance(first, second, block=10) == kernel_distance(first, second, block=10)


class TestPrecisionRecall:
    @settings(deadline=None, max_examples=20)
    @given(SEEDS)
    def test_identical_sets_cover_each_other(self, seed: int) -> None:
        first, _, rng = two_sets(seed)
        assert precision_recall(first, first[rng.permutation(40)]) == (1.0, 1.0)

    def test_sets_apart_share_nothing(self) -> None:
        first, second, _ = two_sets(0)
        assert precision_recall(first, second + 1000) == (0.0, 0.0)

    def test_a_collapsed_set_is_precise_but_covers_nothing(self) -> None:
        rng = np.random.default_rng(0)
        real = rng.standard_normal((500, 6))
        collapsed = real[:1] + rng.normal(0, 1e-3, (500, 6))
        precision, recall = precision_recall(real, collapsed)
        assert precision == 1.0
        assert recall <= 1 / 500

    def test_noise_around_the_data_is_imprecise_but_covers_it(self) -> None:
        rng = np.random.default_rng(0)
        real, wide = rng.normal(0, 1, (500, 6)), rng.normal(0, 4, (500, 6))
        precision, recall = precision_recall(real, wide)
        assert precision < 0.3
        assert recall > 0.9

    @pytest.mark.parametrize("k", [1, 3])
    def test_the_balls_are_those_of_the_definition(self, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "CHUNK", 7)
        first, second, _ = two_sets(3)

        def share(region: np.ndarray, points: np.ndarray) -> float:
            radii = [sorted(np.linalg.norm(region - centre, axis=1))[k] for centre in region]
            inside = [any(np.linalg.norm(region - point, axis=1) <= radii) for point in points]
            return sum(inside) / len(points)

        assert precision_recall(first, second, k=k) == pytest.approx((share(first, second), share(second, first)))


class TestNearest:
    def test_it_finds_what_a_loop_finds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "CHUNK", 7)
        items, references, _ = two_sets(5)
        index, distance = nearest(items, references)
        for item, where, far in zip(items, index, distance, strict=True):
            all_distances = np.linalg.norm(references - item, axis=1)
            assert where == all_distances.argmin()
            assert far == pytest.approx(all_distances.min(), rel=1e-12)

    def test_a_copy_among_the_pictures_is_found_exactly(self) -> None:
        pictures = np.random.default_rng(0).integers(0, 256, (300, 4, 16, 16), np.uint8)
        found = nearest(pictures[[250, 3]], pictures)
        assert found.index.tolist() == [250, 3]
        assert found.distance.tolist() == [0.0, 0.0]

    def test_widths_must_be_equal(self) -> None:
        with pytest.raises(ValueError, match="differ in width"):
            nearest(np.zeros((2, 3)), np.zeros((2, 4)))


@pytest.mark.parametrize("distance", [frechet, kernel_distance, precision_recall])
@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (np.zeros((9, 5)), r"widths \[4, 5\]"),
        (np.zeros((1, 4)), r"shape \[1, 4\]"),
        (np.zeros(9), r"shape \[9\]"),
        (np.full((9, 4), np.nan), "36 numbers that are not finite"),
    ],
)
def test_unfit_features_are_refused(distance: object, fake: np.ndarray, message: str) -> None:
    assert callable(distance)
    with pytest.raises(ValueError, match=message):
        distance(np.zeros((9, 4)), fake)


def draw(style: str, count: int) -> np.ndarray:
    definition = dicebear_faces.load_style(style)
    return over(np.stack([dicebear_faces.draw(definition, f"rank-{index}", 32)[0] for index in range(count)]))


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """200 faces of the style pixel-art, RGB."""
    return draw("pixel-art", 200)


@pytest.fixture(scope="module")
def damaged(faces: np.ndarray) -> dict[str, np.ndarray]:
    """The second half of the faces, as it is and damaged in several ways."""
    clean, rng = faces[100:], np.random.default_rng(0)

    def noisy(deviation: float) -> np.ndarray:
        return np.clip(clean + rng.normal(0, deviation, clean.shape), 0, 255).astype(np.uint8)

    def blurred(share: float) -> np.ndarray:
        wide = np.pad(clean.astype(float), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
        around = np.stack([wide[:, :, i : i + 32, j : j + 32] for i in range(3) for j in range(3)]).mean(axis=0)
        return ((1 - share) * clean + share * around).astype(np.uint8)

    return {
        "clean": clean,
        "slight noise": noisy(12),
        "strong noise": noisy(36),
        "slight blur": blurred(0.3),
        "strong blur": blurred(1.0),
        "collapse": clean[np.arange(100) % 4],
        "wrong style": draw("toon-head", 100),
    }


@pytest.fixture(scope="module")
def distances(faces: np.ndarray, damaged: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    real = extract(faces[:100])
    fakes = {name: extract(images) for name, images in damaged.items()}
    return {
        "frechet": {name: frechet(real, fake) for name, fake in fakes.items()},
        "kernel": {name: kernel_distance(real, fake, block=50, blocks=40).mean for name, fake in fakes.items()},
    }


@pytest.mark.parametrize("distance", ["frechet", "kernel"])
@pytest.mark.parametrize(
    "order",
    [
        ("clean", "slight noise", "strong noise"),
        ("clean", "slight blur", "strong blur"),
        ("clean", "collapse"),
        ("slight noise", "wrong style"),
        ("slight blur", "wrong style"),
    ],
)
def test_worse_pictures_are_farther(distances: dict[str, dict[str, float]], distance: str, order: tuple[str, ...]) -> None:
    values = {name: distances[distance][name] for name in order}
    assert all(1.3 * nearer < farther for nearer, farther in itertools.pairwise(values.values())), values
