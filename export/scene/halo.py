"""The decoder with the neighbours' codes around a tile's own, so that both sides of an edge are known where it decodes one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.scene.reconstruction import BATCH
from export.scene.vqvae import VQVAE, Decoded, TileHeads

DECODER_MARGIN = 4
"""Rows and columns of the neighbours' codes that are seen on each side: only the corners of its kernels reach farther."""
RING = 1
"""Cells around a tile for which classes are given too."""


class HaloDecoder(nn.Module):
    """Codes int64 [N, G + 2d, G + 2d] to heights [N, V, V] and logits [N, C, T + 2, T + 2] of the tile in the middle.

    Codes of the margin may be `outside`. Feature maps are 0 where nobody is, as the padding of the convolutions is in
    training: a tile without neighbours is decoded as `VQVAE.decode` does. The ring of the logits is what the neighbours'
    nearest cells would be; it says nothing where nobody is. Raises TypeError for a VQ-VAE of pictures.
    """

    def __init__(self, vqvae: VQVAE) -> None:
        super().__init__()
        if not isinstance(vqvae.heads, TileHeads):
            raise TypeError("the VQ-VAE is one of pictures, which have no neighbours")
        self.vqvae, self.heads = vqvae, vqvae.heads

    @property
    def outside(self) -> int:
        """The token of a code of a neighbour that is not there."""
        return self.vqvae.codes + 1

    def forward(self, codes: Tensor) -> Decoded:
        there = (codes < self.vqvae.codes)[:, None].to(self.heads.scale.dtype)
        x = self.vqvae.quantiser.look_up(codes.clamp(max=self.vqvae.codes - 1)) * there
        decoder = self.vqvae.decoder
        x = decoder.mixed(x) * there
        for layer in decoder.residuals:
            x = layer(x) * there
        for layer in decoder.strided:
            x = layer(x)
            if isinstance(layer, nn.ConvTranspose2d):
                there = F.interpolate(there, scale_factor=2.0, mode="nearest")
            x = x * there
        return self._tile(F.relu(self.heads.shared(x)), there)

    def _tile(self, x: Tensor, there: Tensor) -> Decoded:
        """The heads over the tile and its ring; where nobody is, the nearest cells of the tile stand in."""
        cut, side = DECODER_MARGIN * self.vqvae.config.downsampling, x.shape[2]
        inside = x[:, :, cut : side - cut, cut : side - cut]
        ring = slice(cut - RING, side - cut + RING)
        known = there[:, :, ring, ring]
        x = x[:, :, ring, ring] * known + F.pad(inside, (RING,) * 4, mode="replicate") * (1.0 - known)
        heads = self.heads
        height = F.conv2d(x, heads.height.weight, heads.height.bias)[:, 0]
        return Decoded(height * heads.scale + heads.middle, heads.ground(x), heads.objects(x))


@torch.no_grad()
def decode_surrounded(decoder: HaloDecoder, codes: np.ndarray) -> list[np.ndarray]:
    """Heights and logits, as `HaloDecoder` gives them, of codes int64 [N, G + 2d, G + 2d]."""
    parts = [decoder(torch.from_numpy(codes[start : start + BATCH])) for start in range(0, len(codes), BATCH)]
    return [np.concatenate([values.numpy() for values in column]) for column in zip(*parts, strict=True)]
