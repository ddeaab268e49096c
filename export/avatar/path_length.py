"""Perceptual path length: how evenly pictures change along straight lines in W (Karras et al. 2019, arXiv:1812.04948)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from bridge import seeds as draws
from export.avatar.features import vgg16
from export.avatar.model import Generator
from export.avatar.pictures import BACKDROP

EPSILON = 1e-4


@torch.no_grad()
def path_length(
    generator: Generator, pairs: int, *, epsilon: float = EPSILON, batch: int = 16, seed: int = 0, progress: str = ""
) -> float:
    """The mean of d(G(w(t)), G(w(t + epsilon))) / epsilon^2 over pairs of latents and t uniform in [0, 1]; lower is smoother.

    w(t) is the straight line between the styles of latents seed + 2i and seed + 2i + 1, without truncation and with the
    same noise at both ends. d is `perceptual_distance`, not the LPIPS of the paper, so figures compare only with each
    other. As in the authors' code, the mean leaves out the values below the 1st and above the 99th percentile.
    """
    if pairs < 1 or not epsilon > 0:
        raise ValueError(f"pairs is {pairs} and epsilon {epsilon}; both must be above 0")
    positions = np.random.default_rng(seed).random(pairs, np.float32)
    device = generator.mapping.w_mean.device
    lengths = []
    with tqdm(total=pairs, desc=progress, unit="pair", disable=not progress, leave=False) as bar:
        for start in range(0, pairs, batch):
            count = min(batch, pairs - start)
            numbers = range(seed + 2 * start, seed + 2 * (start + count))
            z = torch.from_numpy(draws.latents(numbers, generator.config.latent_size)).to(device)
            noise = torch.from_numpy(draws.avatar_noise(numbers[::2], generator.config.noise_size)).to(device)
            first, second = generator.mapping.to_w(z).view(count, 2, -1).unbind(1)
            t = torch.from_numpy(positions[start : start + count]).to(device)[:, None]
            ends = [torch.lerp(first, second, at) for at in (t, t + epsilon)]
            lengths.append(perceptual_distance(*(smooth_picture(generator, w, noise).cpu() for w in ends)))
            bar.update(count)
    values = torch.cat(lengths).double().numpy() / epsilon**2
    low, high = np.percentile(values, (1, 99), method="nearest")
    return float(values[(values >= low) & (values <= high)].mean())


def smooth_picture(generator: Generator, w: Tensor, noise: Tensor) -> Tensor:
    """Draws one style w [N, L] a picture over the backdrop: RGB [N, 3, H, W] in 0 ... 255, not rounded.

    A palette's colours are blended by their softmax: a choice of one colour in a cell has steps, along which no path has
    a finite length.
    """
    synthesis, config = generator.synthesis, generator.config
    styles = w[:, None, :].expand(-1, config.num_layers, -1)
    image = synthesis.scores(styles, noise)
    if synthesis.palette is not None:
        image = torch.einsum("nkhw,kc->nchw", image.softmax(dim=1), synthesis.palette.colours)
    if config.pixel_size > 1:
        image = F.interpolate(image, scale_factor=config.pixel_size, mode="nearest")
    levels = ((image + 1.0) * 127.5).clamp(0.0, 255.0)
    if levels.shape[1] == 3:
        return levels
    colour, alpha = levels[:, :3], levels[:, 3:]
    backdrop = torch.tensor(BACKDROP, device=levels.device)[None, :, None, None]
    return torch.minimum(colour, alpha) + backdrop * (1.0 - alpha / 255.0)


@torch.no_grad()
def perceptual_distance(first: Tensor, second: Tensor) -> Tensor:
    """The distance [N] of pairs of pictures RGB [N, 3, H, W] in 0 ... 255, on the features of five depths.

    At conv1_2, conv2_2, conv3_3, conv4_3 and conv5_3 of `features.VGG16` each place's features are scaled to length 1;
    their squared differences are summed over the features, averaged over the places and summed over the depths. That is
    the unweighted form of LPIPS (Zhang et al. 2018, arXiv:1801.03924).
    """
    network = vgg16()
    total = torch.zeros(len(first))
    for a, b in zip(network.activations(first), network.activations(second), strict=True):
        total += (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1).mean(dim=(1, 2))
    return total
