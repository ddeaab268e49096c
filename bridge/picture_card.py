"""The picture family's section of a model card, and what a card with it must have for graphs."""

from __future__ import annotations

import msgspec

from bridge.images import MAX_SIZE_PX, MIN_SIZE_PX
from bridge.model_card import ModelCard

DOWNSAMPLES = (4, 8)
MAX_CODES = 1 << 16
Shapes = dict[str, tuple[str, list[int | str]]]


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The picture section of a card.

    `image_size` is the width and height of a picture in pixels, a power of two, and `downsample` the pixels along the side of
    a code. The graphs take and give RGB from -1 to 1.
    """

    image_size: int
    downsample: int
    codebook_size: int

    @property
    def grid(self) -> int:
        """Codes along a picture's side."""
        return self.image_size // self.downsample

    def check(self, card: ModelCard) -> None:
        """Raise `ValueError` where this section contradicts itself or the card's graphs."""
        if self.image_size & (self.image_size - 1) or not MIN_SIZE_PX <= self.image_size <= MAX_SIZE_PX:
            raise ValueError(f"image_size is {self.image_size}, expected a power of two from {MIN_SIZE_PX} to {MAX_SIZE_PX}")
        if self.downsample not in DOWNSAMPLES:
            raise ValueError(f"downsample is {self.downsample}, expected one of {list(DOWNSAMPLES)}")
        if not 2 <= self.codebook_size <= MAX_CODES:
            raise ValueError(f"codebook_size is {self.codebook_size}, expected 2 to {MAX_CODES}")
        expected = self.graphs()
        for graph in card.graphs:
            inputs, outputs = expected[graph.name]
            for kind, tensors, wanted in (("inputs", graph.inputs, inputs), ("outputs", graph.outputs, outputs)):
                found = {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}
                if found != wanted:
                    raise ValueError(f"{kind} of graph {graph.name} are {found}, expected {wanted}")

    def graphs(self) -> dict[str, tuple[Shapes, Shapes]]:
        """Return inputs and outputs, each type and shape by name, of the graphs of a bundle with this section."""
        picture: Shapes = {"picture": ("float32", ["batch", 3, self.image_size, self.image_size])}
        codes: Shapes = {"codes": ("int64", ["batch", self.grid, self.grid])}
        return {"encoder": (picture, codes), "decoder": (codes, picture)}
