"""The palette of a data set: the colours that a generator with a palette mixes."""

from __future__ import annotations

import numpy as np

APART = {"one": 3, "blend": 12}
"""How many levels colours differ at least: pixel art wants its exact colours, a blend only what to mix from."""
SAMPLE = 2_000


def choose_palette(images: np.ndarray, count: int, *, apart: int = APART["one"]) -> np.ndarray:
    """Returns the most frequent colours of uint8 pictures [N, C, H, W] as float32 [count, C] in [-1, 1].

    Of colours that differ by less than `apart` levels in every channel, only the most frequent one is taken, so that the
    many shades along smooth edges do not crowd out whole colours. Looks at SAMPLE pictures spread over the set. Where the
    pictures hold fewer colours, the first one fills up the rest.
    """
    step = max(1, len(images) // SAMPLE)
    pixels = images[::step].transpose(0, 2, 3, 1).reshape(-1, images.shape[1])
    colours, frequency = np.unique(pixels, axis=0, return_counts=True)
    ranked = colours[np.argsort(-frequency, kind="stable")].astype(np.int16)
    chosen: list[np.ndarray] = []
    while len(ranked) and len(chosen) < count:
        chosen.append(ranked[0])
        ranked = ranked[np.abs(ranked - ranked[0]).max(axis=1) >= apart]
    chosen += [chosen[0]] * (count - len(chosen))
    return (np.stack(chosen) / 127.5 - 1.0).astype(np.float32)


def match_palette(palette: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Reorders new colours [K, C] so that each takes the place of a near one in a palette [K, C], nearest pairs first.

    A generator that goes on with other colours keeps what its scores mean as far as the two palettes allow.
    """
    distance = np.square(palette[:, None] - colours[None]).sum(axis=2)
    matched = np.empty_like(colours)
    free = [np.ones(len(palette), bool), np.ones(len(colours), bool)]
    for index in np.argsort(distance, axis=None, kind="stable"):
        place, colour = divmod(int(index), len(colours))
        if free[0][place] and free[1][colour]:
            matched[place] = colours[colour]
            free[0][place] = free[1][colour] = False
    return matched
