"""Worlds through the sidecar: a block of tiles as it streams, held-out tiles redrawn from their codes, a part made anew."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image, ImageDraw

from bridge import tensors
from bridge.client import Client, heights
from bridge.scene_card import Spec
from bridge.v1 import scene_service_pb2 as pb
from demo.avatars import FAINT, INK, PAPER
from demo.relief import draw, joined, land_of
from demo.sheets import MARGIN, captioned, font, map_sheet, save_film
from export.scene import data
from export.scene.tiles import TileSource

SIDE, SEED = 5, 7
WORLD_PX, FILM_PX, TILE_PX, EDIT_PX = 4, 2, 3, 7
"""Pixels along a cell: of the world, of its film, of a redrawn tile, of an edited one."""
PICTURES, HELD_OUT = 8, data.Sources(composites=6, landscapes=6)
"""Held-out tiles, and the sources that give a world of each kind to cut them from."""
STEPS, EDIT_SEEDS = (1, 2, 4, 8), (2, 3, 4)
OUTPUT = pb.SceneOutput(return_instances=True)


@dataclass(frozen=True)
class SceneFigures:
    """What was seen: tiles of the stream, seconds to the first and to the last; errors of redrawn held-out tiles."""

    tiles: int
    first_seconds: float
    seconds: float
    height_error_metres: float
    ground_right: float


def draw_scenes(client: Client, model: str, out: Path, cache: Path) -> SceneFigures:
    """Write world.png, extension.gif, reconstruction.png and inpainting.gif."""
    spec = msgspec.convert(json.loads(client.model(model).card_json)["spec"], Spec)
    tiles, arrivals = _streamed(client, model)
    draw_world(tiles, spec, out / "world.png")
    film_extension(tiles, arrivals, spec, out / "extension.gif")
    error, right = draw_reconstruction(client, model, spec, out / "reconstruction.png", cache)
    film_inpainting(client, model, spec, out / "inpainting.gif")
    return SceneFigures(len(tiles), arrivals[0], arrivals[-1], error, right)


def draw_world(tiles: list[pb.SceneTile], spec: Spec, path: Path) -> None:
    """Draw a block of tiles as one map; ticks outside its frame say where tiles meet."""
    picture = draw(joined(tiles, spec), spec, WORLD_PX)
    metres = f"{SIDE * spec.metres:g} m along a side"
    subtitle = f"world {SEED}; tiles of {spec.metres:g} m meet at the ticks outside the frame"
    map_sheet(picture, spec, WORLD_PX, f"{SIDE} x {SIDE} tiles, {metres}, from StreamScenes", subtitle).save(path)


def film_extension(tiles: list[pb.SceneTile], arrivals: list[float], spec: Spec, path: Path) -> None:
    """Film the block growing: one frame an arrival. A tile never changes once it is there, so all are cut from one drawing."""
    whole = draw(joined(tiles, spec), spec, FILM_PX)
    left, top = (min(getattr(tile.coordinate, axis) for tile in tiles) for axis in "xy")
    page, side = Image.new("RGB", whole.size, (228, 228, 222)), spec.tile_cells * FILM_PX
    frames = [captioned(page, "StreamScenes", "no tile yet")]
    for number, (tile, seconds) in enumerate(zip(tiles, arrivals, strict=True), start=1):
        x, y = (tile.coordinate.x - left) * side, (tile.coordinate.y - top) * side
        page.paste(whole.crop((x, y, x + side, y + side)), (x, y))
        shown = page.copy()
        ImageDraw.Draw(shown).rectangle((x, y, x + side - 1, y + side - 1), outline=(255, 255, 255), width=2)
        place = f"({tile.coordinate.x}, {tile.coordinate.y})"
        frames.append(captioned(shown, f"StreamScenes: tile {number} of {len(tiles)}, {place}", f"after {seconds:.2f} s"))
    frames.append(captioned(page, f"StreamScenes: {len(tiles)} tiles", f"after {arrivals[-1]:.2f} s"))
    save_film(frames, path, [600, *[220] * len(tiles), 3000])


def draw_reconstruction(client: Client, model: str, spec: Spec, path: Path, cache: Path) -> tuple[float, float]:
    """Draw held-out tiles above what their codes decode to; return the mean height error and share of ground that is right."""
    worlds = data.load(sources=HELD_OUT, split="held-out", cache=cache).worlds
    tiles = TileSource(worlds).draw(PICTURES, SEED)
    height = np.clip(tiles.height, spec.height.low, spec.height.high)  # held-out ground may be higher than any trained on
    encoded = client.encode_scene(model, height, ground=tiles.ground, objects=tiles.objects)
    codes = tensors.to_array(encoded.codes, "codes")
    apart = [(3 * number, 0) for number in range(PICTURES)]  # tiles that touch would take over each other's edges
    redrawn = client.generate_scene(model, [0], apart, codes=codes, output=OUTPUT).tiles
    errors, rights, columns = [], [], []
    for number, tile in enumerate(redrawn):
        given = (height[number], tiles.ground[number], tiles.objects[number])
        errors.append(float(np.abs(heights(tile.heights) - given[0]).mean()))
        rights.append(float((tensors.to_array(tile.ground, "ground") == given[1]).mean()))
        columns.append((draw(land_of(*given, spec), spec, TILE_PX), draw(joined([tile], spec), spec, TILE_PX)))
    _pairs(columns, [f"{e:.2f} m, {r:.0%}" for e, r in zip(errors, rights, strict=True)], 2 * codes[0].size).save(path)
    return float(np.mean(errors)), float(np.mean(rights))


def film_inpainting(client: Client, model: str, spec: Spec, path: Path) -> None:
    """Film EditScene: a region drawn anew in more and more steps, with other seeds, and with water asked for."""
    tile = client.generate_scene(model, [SEED], output=OUTPUT).tiles[0]
    mask = _region(spec.tile_cells)

    def frame(shown: pb.SceneTile, caption: str, detail: str, *, outlined: bool = True) -> Image.Image:
        picture = draw(joined([shown], spec), spec, EDIT_PX)
        return captioned(_outlined(picture, mask, EDIT_PX) if outlined else picture, caption, detail)

    def edited(seed: int, steps: int = 0, painted: np.ndarray | None = None) -> pb.SceneTile:
        conditions = pb.SceneConditions(steps=steps)
        call = {"seed": seed, "painted_ground": painted, "conditions": conditions, "output": OUTPUT}
        return client.edit_scene(model, tile, mask, **call).tile

    frames = [frame(tile, "A tile", f"of world {SEED}", outlined=False)]
    frames.append(frame(tile, "EditScene", "everything outside the line keeps its bits"))
    for steps in STEPS:
        plural = "s" if steps > 1 else ""
        frames.append(frame(edited(1, steps), "EditScene", f"seed 1, drawn in {steps} refinement step{plural}"))
    frames += [frame(edited(seed), "EditScene", f"seed {seed}") for seed in EDIT_SEEDS]
    wet = next((number for number, one in enumerate(spec.ground_classes) if one.water), None)
    if wet is not None:
        painted = np.where(mask, wet, -1).astype(np.int8)
        frames.append(frame(edited(1, painted=painted), "EditScene", f"seed 1, {spec.ground_classes[wet].name} asked for"))
    save_film(frames, path, [1500, 1500, *[900] * len(STEPS), *[1300] * (len(frames) - 2 - len(STEPS))])


def _streamed(client: Client, model: str) -> tuple[list[pb.SceneTile], list[float]]:
    """Return the tiles of a block around (0, 0), asked for from the middle outwards, and the seconds when each arrived."""
    around = range(-(SIDE // 2), SIDE - SIDE // 2)
    places = sorted(((x, y) for y in around for x in around), key=lambda place: (max(map(abs, place)), place))
    start = time.perf_counter()
    tiles, arrivals = [], []
    for answer in client.stream_scenes(model, SEED, places, output=OUTPUT):
        tiles.append(answer.tile)
        arrivals.append(time.perf_counter() - start)
    return tiles, arrivals


def _pairs(columns: list[tuple[Image.Image, Image.Image]], captions: list[str], code_bytes: int) -> Image.Image:
    """Lay originals above what their codes decode to, four pairs a row, each with a caption."""
    side, gap, label = columns[0][0].width, 10, 132
    block = 2 * side + 3 * gap + 24
    page = Image.new("RGB", (label + 4 * (side + gap) + 2 * MARGIN, -(-len(columns) // 4) * block + 2 * MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    for number, (original, redrawn) in enumerate(columns):
        x, y = MARGIN + label + number % 4 * (side + gap), MARGIN + number // 4 * block
        page.paste(original, (x, y))
        page.paste(redrawn, (x, y + side + gap))
        pen.text((x, y + 2 * side + gap + 6), captions[number], FAINT, font(13))
        if number % 4 == 0:
            pen.text((MARGIN, y + side // 2 - 16), "a tile that\nno training saw", INK, font(15))
            lines = f"from its codes\n({code_bytes} bytes):\nmean error of\nheight, share of\nthe ground right"
            pen.text((MARGIN, y + side + gap + side // 2 - 50), lines, INK, font(15))
    return page


def _region(cells: int) -> np.ndarray:
    """Return a round mask bool[T, T] off the middle of a tile."""
    row, column = (np.mgrid[:cells, :cells] + 0.5) / cells
    mask: np.ndarray = np.hypot((row - 0.52) / 0.36, (column - 0.5) / 0.4) <= 1.0
    return mask


def _outlined(picture: Image.Image, mask: np.ndarray, px: int) -> Image.Image:
    """Draw a white line, with a dark one inside, along the edge of a mask."""
    shown, pen = picture.copy(), None
    pen = ImageDraw.Draw(shown)
    padded = np.pad(mask, 1)
    for colour, width in (((30, 32, 40), 3), ((255, 255, 255), 1)):
        for row, column in zip(*np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1]), strict=True):
            pen.line((column * px, row * px, (column + 1) * px, row * px), colour, width)
        for row, column in zip(*np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1]), strict=True):
            pen.line((column * px, row * px, column * px, (row + 1) * px), colour, width)
    return shown
