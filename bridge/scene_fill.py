"""Filling a mask: what differs outside it fades inside it, long waves slowly and short ones at once.

Heights follow a thin plate under tension (Smith and Wessel, "Gridding with continuous curvature splines in tension", 1990), so
that neither the ground nor its slope breaks at the mask's edge. Classes follow a screened Laplacian, which forgets within a few
cells. Both systems are sparse, symmetric and positive definite, and solved by conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
TENSION = 1.0 / 3.0**2
"""Per squared cell: beyond three cells a plate is pulled flat like a membrane, so that a slope makes no far hump."""
CELLS_KEPT = 2.0
"""Cells within which a class's difference falls to a third."""
PRECISION, MOST_STEPS = 1e-5, 200
Operator = Callable[[Doubles], Doubles]


def filled_heights(difference: Doubles, free: Mask) -> Doubles:
    """Return differences [V, V] that are the given ones outside `free`, and continue them smoothly inside it.

    No vertex of the tile's edge may be free.
    """
    sines, weights = _sines(len(difference) - 2)

    def bending(field: Doubles) -> Doubles:
        curvature = np.zeros_like(field)
        curvature[1:-1, 1:-1] = _laplacian(field)
        force = np.zeros_like(field)
        force[1:-1, 1:-1] = _laplacian(curvature) - TENSION * curvature[1:-1, 1:-1]
        return np.where(free, force, 0.0)

    def softened(force: Doubles) -> Doubles:
        inside = np.zeros_like(force)
        inside[1:-1, 1:-1] = sines @ (sines @ force[1:-1, 1:-1] @ sines / weights) @ sines
        return np.where(free, inside, 0.0)

    outside = np.where(free, 0.0, difference)
    return outside + _solved(bending, -bending(outside), softened)


def filled_classes(differences: Doubles, mask: Mask) -> Doubles:
    """Return differences [C, T, T] that are the given ones outside the mask, and fade inside it."""

    def screened(field: Doubles) -> Doubles:
        around = np.pad(field, ((0, 0), (1, 1), (1, 1)), mode="edge")
        sums = around[:, :-2, 1:-1] + around[:, 2:, 1:-1] + around[:, 1:-1, :-2] + around[:, 1:-1, 2:]
        return np.where(mask, field - CELLS_KEPT**2 * (sums - 4.0 * field), 0.0)

    outside = np.where(mask, 0.0, differences)
    return outside + _solved(screened, -screened(outside), lambda force: force)


def _solved(operator: Operator, right: Doubles, precondition: Operator) -> Doubles:
    """Return x with operator(x) = right, by preconditioned conjugate gradients."""
    solution, residual = np.zeros_like(right), right.copy()
    near = precondition(residual)
    direction, energy = near.copy(), float(np.vdot(residual, near))
    enough = PRECISION**2 * energy
    for _ in range(MOST_STEPS):
        if energy <= enough:
            break
        image = operator(direction)
        step = energy / float(np.vdot(direction, image))
        solution += step * direction
        residual -= step * image
        near = precondition(residual)
        before, energy = energy, float(np.vdot(residual, near))
        direction = near + energy / before * direction
    return solution


def _laplacian(field: Doubles) -> Doubles:
    """Return the five-point Laplacian at the inner vertices."""
    inside: Doubles = field[:-2, 1:-1] + field[2:, 1:-1] + field[1:-1, :-2] + field[1:-1, 2:] - 4.0 * field[1:-1, 1:-1]
    return inside


@lru_cache(maxsize=8)
def _sines(size: int) -> tuple[Doubles, Doubles]:
    """Return the sine transform, its own inverse, and what bending weighs each of its waves by when all vertices are free."""
    number = np.arange(1, size + 1)
    transform = np.sqrt(2.0 / (size + 1)) * np.sin(np.pi * np.outer(number, number) / (size + 1))
    along = 2.0 - 2.0 * np.cos(np.pi * number / (size + 1))
    bent = along[:, None] + along[None, :]
    return transform, bent * bent + TENSION * bent
