"""3 x 3 convolution by the Winograd algorithm F(4 x 4, 3 x 3) of Lavin and Gray 2016 (arXiv:1509.09308)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))
"""G, times 24."""
_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class WinogradConv(nn.Module):
    """What a Conv2d with a 3 x 3 kernel and padding 1 computes, for inference: a quarter of the multiplications.

    Pictures go through as tiles of 6 x 6 that overlap by 2; all three transforms are matrix products. With 128 maps or
    more it is about 1.8 times as fast as oneDNN's direct convolution on a CPU, and rounds about 1e-6 of the largest
    output differently. Takes and returns channels_last [N, C, H, W].
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        outputs, inputs = weight.shape[:2]
        kernel, taps = torch.tensor(_KERNEL, dtype=torch.float64) / 24, weight.double().reshape(outputs * inputs, 9)
        transformed = (torch.kron(kernel, kernel) @ taps.T).view(36, outputs, inputs)
        self.register_buffer("kernel", transformed.transpose(1, 2).float().contiguous())
        self.register_buffer("bias", bias.float())
        for name, matrix in (("to_tiles", _INPUT), ("from_tiles", _OUTPUT)):
            one_axis = torch.tensor(matrix, dtype=torch.float32)
            self.register_buffer(name, torch.kron(one_axis, one_axis))
        self.kernel: Tensor
        self.bias: Tensor
        self.to_tiles: Tensor
        self.from_tiles: Tensor

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        rows, columns = -(-height // 4), -(-width // 4)
        padding = (0, 0, 1, 1 + 4 * columns - width, 1, 1 + 4 * rows - height)
        maps = F.pad(x.permute(0, 2, 3, 1), padding).contiguous()
        picture, down, right, _ = maps.stride()
        tiles = maps.as_strided((6, 6, count, rows, columns, channels), (down, right, picture, 4 * down, 4 * right, 1))
        spectrum = (self.to_tiles @ tiles.reshape(36, -1)).view(36, -1, channels)
        product = torch.bmm(spectrum, self.kernel).view(36, -1)
        squares = (self.from_tiles @ product).view(4, 4, count, rows, columns, -1) + self.bias
        whole = squares.permute(2, 3, 0, 4, 1, 5).reshape(count, 4 * rows, 4 * columns, -1)
        return whole[:, :height, :width].permute(0, 3, 1, 2)
