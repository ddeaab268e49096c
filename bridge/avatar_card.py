"""The avatar family's section of a model card, and what a card with it must have for graphs."""

from __future__ import annotations

import math

import msgspec

from bridge.images import MAX_SIZE_PX, MIN_SIZE_PX
from bridge.model_card import ModelCard, TensorSpec

MAX_PSI = 2.0
MAX_REFINE_STEPS = 8
CHANNELS = (3, 4)
Shapes = dict[str, tuple[str, list[int | str]]]


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A slider: a named direction in W with the range in which it shows what it is called; 0 changes nothing."""

    name: str
    low: float
    high: float
    description: str


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The avatar section of a card: sizes of the generator, its default truncation, its controls and its encoder.

    `image_channels` is 3 for RGB or 4 for RGBA with colours multiplied by alpha. `attribution` holds the lines that the
    licence of the training pictures wants shown. `projection_steps` is how often the encoder is run by default, 0 for none.
    """

    image_size: int
    image_channels: int
    latent_size: int
    num_layers: int
    noise_size: int
    default_truncation: float
    controls: list[Control]
    attribution: list[str]
    projection_steps: int

    def check(self, card: ModelCard) -> None:
        """Raise `ValueError` where this section contradicts itself or the card's graphs."""
        if self.image_size & (self.image_size - 1) or not MIN_SIZE_PX <= self.image_size <= MAX_SIZE_PX:
            message = f"image_size is {self.image_size}, expected a power of two from {MIN_SIZE_PX} to {MAX_SIZE_PX}"
            raise ValueError(message)
        if self.image_channels not in CHANNELS:
            raise ValueError(f"image_channels is {self.image_channels}, expected 3 (RGB) or 4 (RGBA)")
        if not 0.0 <= self.default_truncation <= MAX_PSI:
            raise ValueError(f"default_truncation is {self.default_truncation}, expected 0 to {MAX_PSI:g}")
        if not 0 <= self.projection_steps <= MAX_REFINE_STEPS:
            raise ValueError(f"projection_steps is {self.projection_steps}, expected 0 to {MAX_REFINE_STEPS}")
        self._check_controls()
        self._check_graphs(card)

    def _check_controls(self) -> None:
        names = [control.name for control in self.controls]
        if len(set(names)) != len(names) or "" in names:
            raise ValueError(f"controls are {names}, expected different names")
        for control in self.controls:
            if not -math.inf < control.low <= 0.0 <= control.high < math.inf or control.low == control.high:
                message = f'control "{control.name}" goes from {control.low} to {control.high}, expected a range with 0 in it'
                raise ValueError(message)

    def _check_graphs(self, card: ModelCard) -> None:
        expected = self._graphs()
        if [graph.name for graph in card.graphs] != list(expected):
            message = f"graphs are {[graph.name for graph in card.graphs]}, expected {list(expected)}"
            raise ValueError(f"{message} for {len(self.controls)} controls and {self.projection_steps} projection steps")
        for graph in card.graphs:
            inputs, outputs = expected[graph.name]
            for kind, tensors, wanted in (("inputs", graph.inputs, inputs), ("outputs", graph.outputs, outputs)):
                if _shapes(tensors) != wanted:
                    raise ValueError(f"{kind} of graph {graph.name} are {_shapes(tensors)}, expected {wanted}")

    def _graphs(self) -> dict[str, tuple[Shapes, Shapes]]:
        """Return inputs and outputs of each graph that a bundle with this section has, in their order."""
        latent = ("float32", _batch(self.latent_size))
        styles = ("float32", _batch(self.num_layers, self.latent_size))
        image = ("float32", _batch(self.image_channels, self.image_size, self.image_size))
        layer = ("int64", _batch())
        mapping = {"z": latent, "z_mix": latent, "truncation": ("float32", _batch()), "mix_start": layer, "mix_end": layer}
        graphs: dict[str, tuple[Shapes, Shapes]] = {
            "mapping": (mapping, {"w": styles}),
            "synthesis": ({"w": styles, "noise": ("float32", _batch(self.noise_size))}, {"image": image}),
        }
        if self.controls:
            graphs["control"] = ({"w_in": styles, "controls": ("float32", _batch(len(self.controls)))}, {"w": styles})
        if self.projection_steps:
            graphs["encoder"] = ({"image": image, "current": image, "w_in": styles}, {"w": styles})
        return graphs


def _batch(*sizes: int) -> list[int | str]:
    return ["batch", *sizes]


def _shapes(tensors: list[TensorSpec]) -> Shapes:
    return {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}
