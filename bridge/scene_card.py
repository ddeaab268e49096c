"""The scene family's section of a model card, and what a card with it must have for graphs.

A tile is `tile_cells` x `tile_cells` cells of ground and object classes under (`tile_cells` + 1)^2 vertices of height. The
first axis of every grid is the row, which runs south (+Z of glTF), the second the column, which runs east (+X).
"""

from __future__ import annotations

import math

import msgspec

from bridge.model_card import ModelCard, TensorSpec

FREE = -1
"""In the prior's conditions: nothing is asked for."""
TILE_CELLS = (16, 32, 64, 128)
DOWNSAMPLES = (4, 8)
MAX_STEPS = 64
MAX_CLASSES = 64
MAX_CODES = 1 << 16
MAX_METRES_PER_CELL = 1000.0
MAX_HEIGHT = 20_000.0
MAX_KINDS = 4096
NO_OBJECT = "none"
Shapes = dict[str, tuple[str, list[int | str]]]


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers from `low` to `high`."""

    low: float
    high: float


class GroundClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a cell is made of: its name, its sRGB colour (three numbers 0 to 255) in meshes, and whether it is water."""

    name: str
    colour: tuple[int, int, int]
    water: bool = False


class ObjectClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands on a cell, and how instances of it are placed.

    Two instances are at least the mean of their `spacing_metres` apart. Scales are drawn from `scale`. `yaw_steps` is the
    number of directions an instance may face, 0 for any; a house with its footprint along the cells has 4.
    """

    name: str
    spacing_metres: float
    scale: Range
    yaw_steps: int = 0


class TileKind(msgspec.Struct, frozen=True, array_like=True):
    """What a real tile is like: its biome, by its number, its ruggedness and its share of water."""

    biome: int
    ruggedness: float
    water_share: float


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scene section of a card.

    `downsample` is the number of cells along the side of a code. `prior_margin` and `decoder_margin` are how many rows and
    columns of the neighbours' codes the graphs see on each side, corners with them. A decoder that sees some gives classes for
    a ring of the neighbours' nearest cells too, by which a tile goes on with what stands there. Object class 0 is called
    "none". `height` (metres) bounds what the decoder gives; the water level is 0. `ruggedness` and `water_share` are the ranges
    of the conditions, from 0 up. `steps` is how often a tile is refined by default; `choice_temperature` weighs the noise by
    which the codes of a step are chosen. `climate` is a sample of what real tiles are like, alike ones after each other, from
    which worlds take what is not asked for; it may be empty.
    """

    tile_cells: int
    metres_per_cell: float
    downsample: int
    codebook_size: int
    prior_margin: int
    decoder_margin: int
    ground_classes: list[GroundClass]
    object_classes: list[ObjectClass]
    biomes: list[str]
    ruggedness: Range
    water_share: Range
    height: Range
    steps: int
    choice_temperature: float
    climate: list[TileKind] = []

    @property
    def grid(self) -> int:
        """Codes along a tile's side."""
        return self.tile_cells // self.downsample

    @property
    def vertices(self) -> int:
        """Heights along a tile's side."""
        return self.tile_cells + 1

    @property
    def ring(self) -> int:
        """Cells around a tile for which the decoder gives classes too, on each side: 1 where it sees neighbours, else 0."""
        return 1 if self.decoder_margin else 0

    @property
    def metres(self) -> float:
        """Length of a tile's side."""
        return self.tile_cells * self.metres_per_cell

    @property
    def mask_token(self) -> int:
        """The token of a code that is still to be drawn."""
        return self.codebook_size

    @property
    def outside_token(self) -> int:
        """The token of a code of a neighbour that is not there."""
        return self.codebook_size + 1

    def check(self, card: ModelCard) -> None:
        """Raise `ValueError` where this section contradicts itself or the card's graphs."""
        self._check_sizes()
        self._check_ranges()
        self._check_classes()
        self._check_climate()
        self._check_graphs(card)

    def _check_sizes(self) -> None:
        _one_of("tile_cells", self.tile_cells, TILE_CELLS)
        _one_of("downsample", self.downsample, DOWNSAMPLES)
        _within("codebook_size", self.codebook_size, 2, MAX_CODES)
        _within("prior_margin", self.prior_margin, 0, self.grid)
        _within("decoder_margin", self.decoder_margin, 0, self.grid)
        _within("steps", self.steps, 1, MAX_STEPS)
        _within("metres_per_cell", self.metres_per_cell, 0.01, MAX_METRES_PER_CELL)
        _within("choice_temperature", self.choice_temperature, 0.0, 1000.0)

    def _check_ranges(self) -> None:
        for name, bounds, least, most in (
            ("height", self.height, -MAX_HEIGHT, MAX_HEIGHT),
            ("ruggedness", self.ruggedness, 0.0, math.inf),
            ("water_share", self.water_share, 0.0, 1.0),
        ):
            if not least <= bounds.low < bounds.high <= most or bounds.high == math.inf:
                raise ValueError(f"{name} goes from {bounds.low} to {bounds.high}, expected a range in {least:g} to {most:g}")

    def _check_classes(self) -> None:
        grounds, objects = [c.name for c in self.ground_classes], [c.name for c in self.object_classes]
        for kind, names in (("ground_classes", grounds), ("object_classes", objects), ("biomes", self.biomes)):
            if len(set(names)) != len(names) or "" in names or len(names) > MAX_CLASSES:
                raise ValueError(f"{kind} are {names}, expected at most {MAX_CLASSES} different names")
        if not grounds or objects[:1] != [NO_OBJECT]:
            raise ValueError(
                f'ground_classes are {grounds}, object_classes {objects}, expected some, the objects with "none" first'
            )
        for ground in self.ground_classes:
            if not all(0 <= number <= 255 for number in ground.colour):
                raise ValueError(f'ground class "{ground.name}" has colour {ground.colour}, expected 0 to 255')
        for thing in self.object_classes[1:]:
            _within(f'spacing_metres of "{thing.name}"', thing.spacing_metres, self.metres_per_cell / 2, self.metres / 4)
            _within(f'yaw_steps of "{thing.name}"', thing.yaw_steps, 0, 360)
            if not 0.0 < thing.scale.low <= thing.scale.high < math.inf:
                raise ValueError(f'scale of "{thing.name}" is {thing.scale}, expected a range above 0')

    def _check_climate(self) -> None:
        if len(self.climate) > MAX_KINDS:
            raise ValueError(f"climate has {len(self.climate)} kinds of tiles, expected at most {MAX_KINDS}")
        for number, kind in enumerate(self.climate):
            _within(f"biome of climate[{number}]", kind.biome, 0, len(self.biomes) - 1)
            for name, bounds in (("ruggedness", self.ruggedness), ("water_share", self.water_share)):
                _within(f"{name} of climate[{number}]", getattr(kind, name), bounds.low, bounds.high)

    def _check_graphs(self, card: ModelCard) -> None:
        expected = self.graphs()
        for graph in card.graphs:
            inputs, outputs = expected[graph.name]
            for kind, tensors, wanted in (("inputs", graph.inputs, inputs), ("outputs", graph.outputs, outputs)):
                if _shapes(tensors) != wanted:
                    raise ValueError(f"{kind} of graph {graph.name} are {_shapes(tensors)}, expected {wanted}")

    def graphs(self) -> dict[str, tuple[Shapes, Shapes]]:
        """Return inputs and outputs, each type and shape by name, of the graphs of a bundle with this section."""
        cells = _batch(self.tile_cells, self.tile_cells)
        height = _batch(self.vertices, self.vertices)
        codes = ("int64", _batch(self.grid, self.grid))
        seen, decoded = (self.grid + 2 * margin for margin in (self.prior_margin, self.decoder_margin))
        conditions: Shapes = {
            "painted": codes,
            "biome": ("int64", _batch()),
            "ruggedness": ("float32", _batch()),
            "water_share": ("float32", _batch()),
        }
        told = [self.tile_cells + 2 * self.ring] * 2
        logits = {
            "ground": ("float32", _batch(len(self.ground_classes), *told)),
            "objects": ("float32", _batch(len(self.object_classes), *told)),
        }
        return {
            "prior": (
                {"tokens": ("int64", _batch(seen, seen)), **conditions},
                {"logits": ("float32", _batch(self.grid, self.grid, self.codebook_size))},
            ),
            "decoder": ({"codes": ("int64", _batch(decoded, decoded))}, {"height": ("float32", height), **logits}),
            "encoder": (
                {"height": ("float32", height), "ground": ("int64", cells), "objects": ("int64", cells)},
                {"codes": codes},
            ),
        }


def _one_of(name: str, value: int, known: tuple[int, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value}, expected one of {list(known)}")


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}, expected {least:g} to {most:g}")


def _batch(*sizes: int | str) -> list[int | str]:
    return ["batch", *sizes]


def _shapes(tensors: list[TensorSpec]) -> Shapes:
    return {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}
