"""`python -m bench.scene_streaming`: how many tiles a second StreamScenes sends of worlds that nobody has asked for before.

The client is this process, the sidecar one of its own; tiles travel over gRPC. What a tile's time is made of is measured after
that, in this process, with the bundle's graphs and the sidecar's own code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
import tyro
from tqdm import tqdm

from bench.cases import latest, session
from bench.processes import sidecar
from bench.results import RESULTS, origin, write_part
from bridge.client import Client
from bridge.scene_card import FREE, Spec
from bridge.scene_decoding import MaskedDrawing, place
from bridge.scene_generation import fitted_tile
from bridge.scene_output import answer, check_output
from bridge.scene_tile import surrounded
from bridge.scene_world import dependencies
from bridge.v1 import scene_service_pb2 as pb

OUTPUT = pb.SceneOutput(return_instances=True)
FIRST, ALONE = (0, 0), (1, 1)
"""Places of a world's first tile: one that depends on nothing, and one that depends on all eight around it."""

LABELS = {
    "prior": "prior, {steps} steps",
    "drawing": "drawing codes from its logits",
    "decoder": "decoder",
    "seams": "taking over neighbours' edges",
    "answer": "encoding the answer, with objects",
}


@dataclass(frozen=True)
class StreamingBenchConfig:
    """Measure StreamScenes and write the figures with the machine and the command."""

    models: Path = Path("models")
    """Folder with the bundles."""
    scene: str = "terrain"
    """Name of the scene bundle."""
    side: int = 6
    """Tiles along a block's side."""
    worlds: int = 5
    """Blocks, each of a world of its own."""
    threads: int = 1
    """The sidecar's threads a model; 0 takes all cores."""
    out: Path = RESULTS
    """File to write."""


@dataclass(frozen=True)
class Streamed:
    """Seconds from a call to each of its tiles, float64[worlds, tiles], and to the only tile of a fresh world at ALONE."""

    arrivals: np.ndarray
    alone: np.ndarray


def block(side: int) -> list[tuple[int, int]]:
    """Return the places of a block, row by row."""
    return [(x, y) for y in range(side) for x in range(side)]


def made(places: list[tuple[int, int]]) -> int:
    """Return how many tiles are made for tiles at these places: theirs and those that they depend on."""
    needed, waiting = set(places), list(places)
    while waiting:
        x, y = waiting.pop()
        for place_of in [(x + dx, y + dy) for dx, dy in dependencies(x, y)]:
            if place_of not in needed:
                needed.add(place_of)
                waiting.append(place_of)
    return len(needed)


def stream(client: Client, config: StreamingBenchConfig) -> Streamed:
    """Stream blocks of fresh worlds after one that warms the sidecar up."""
    _arrivals(client, config.scene, 0, block(2))
    seeds = tqdm(range(1, config.worlds + 1), unit="world")
    arrivals = [_arrivals(client, config.scene, seed, block(config.side)) for seed in seeds]
    alone = [_arrivals(client, config.scene, config.worlds + seed, [ALONE])[0] for seed in range(1, config.worlds + 1)]
    return Streamed(np.array(arrivals), np.array(alone))


def parts(bundle: Path, threads: int, tiles: int) -> dict[str, np.ndarray]:
    """Return the milliseconds of each part of making a tile, one a tile, in the order of their work."""
    spec = msgspec.convert(json.loads((bundle / "card.json").read_text())["spec"], Spec)
    prior, decoder = (session(bundle / f"{name}.onnx", threads) for name in ("prior", "decoder"))
    clocks: dict[str, _Clock] = {name: _Clock() for name in LABELS}
    for seed in range(tiles):
        _make(prior, decoder, spec, seed, clocks)
        for clock in clocks.values():
            clock.lap()
    return {name: 1000 * np.array(clock.laps) for name, clock in clocks.items()}


def report(config: StreamingBenchConfig, streamed: Streamed, spent: dict[str, np.ndarray], steps: int) -> str:
    """Return this bench's part of RESULTS.md."""
    count, places = config.side**2, block(config.side)
    gaps = 1000 * np.diff(streamed.arrivals, axis=1).ravel()
    rates = count / streamed.arrivals[:, -1]
    sides = f"{config.side} x {config.side}"
    rows = [
        (
            f"tiles/s, a block of {sides} (median of {config.worlds} worlds; lowest)",
            f"{np.median(rates):.1f}; {rates.min():.1f}",
        ),
        ("first tile at (0, 0), which depends on none: median, ms", f"{1000 * np.median(streamed.arrivals[:, 0]):.0f}"),
        (f"first tile at {ALONE}, {made([ALONE])} are made: median, ms", f"{1000 * np.median(streamed.alone):.0f}"),
        ("between two tiles: p50, ms", f"{np.percentile(gaps, 50):.1f}"),
        ("between two tiles: p99, ms", f"{np.percentile(gaps, 99):.1f}"),
    ]
    threads = f"{config.threads} thread{'s' if config.threads > 1 else ''} a model" if config.threads else "all cores"
    lines = [
        "## Streaming worlds",
        f"{origin('bench.scene_streaming')}; ONNX Runtime {ort.__version__} (CPUExecutionProvider), {threads}; "
        f'bundle "{config.scene}".',
        f"StreamScenes over blocks that nobody has asked for before; for {count} tiles {made(places)} are made, since those at "
        "the border depend on tiles behind it. Tiles come with heights as float32, classes, codes and objects.",
        "\n".join(["| figure | value |", "| --- | ---: |", *(f"| {name} | {value} |" for name, value in rows)]),
        f"What a tile's time is made of (medians of {len(spent['prior'])} tiles, one after another, with no service around):",
        _shares(spent, steps),
    ]
    return "\n\n".join(lines)


def main(config: StreamingBenchConfig) -> None:
    """Measure the bundle and write the results."""
    if not (config.models / config.scene).is_dir():
        raise SystemExit(
            f'error: no scene bundle "{config.scene}" in "{config.models}"; publish one: python -m export scene onnx'
        )
    with sidecar(config.models, "--threads", str(config.threads)) as served, Client(served.address) as client:
        steps = json.loads(client.model(config.scene).card_json)["spec"]["steps"]
        streamed = stream(client, config)
    spent = parts(latest(config.models, config.scene), config.threads, config.side**2)
    write_part(config.out, "bench.scene_streaming", report(config, streamed, spent, steps))
    print(f"wrote {config.out}")


class _Clock:
    """Adds up the seconds of calls; `laps` has a sum for each tile."""

    def __init__(self) -> None:
        self.laps: list[float] = []
        self._seconds = 0.0

    def run(self, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        self._seconds += time.perf_counter() - start
        return result

    def lap(self) -> None:
        self.laps.append(self._seconds)
        self._seconds = 0.0


def _make(prior: ort.InferenceSession, decoder: ort.InferenceSession, spec: Spec, seed: int, clocks: dict[str, _Clock]) -> None:
    """Make a tile between two that are its own image, and its answer."""
    codes = _draw(prior, spec, seed, clocks)
    tokens = surrounded(spec, codes, {}, spec.decoder_margin)[None]
    outputs = clocks["decoder"].run(lambda: dict(zip(_names(decoder), decoder.run(None, {"codes": tokens}), strict=True)))
    outputs = {name: rows[0] for name, rows in outputs.items()}
    beside = fitted_tile(spec, codes, outputs, {})
    tile = clocks["seams"].run(lambda: fitted_tile(spec, codes, outputs, {(-1, 0): beside, (1, 0): beside}))
    output = check_output(OUTPUT, spec)
    clocks["answer"].run(lambda: answer(tile, spec, output, seed, FIRST).SerializeToString())


def _shares(spent: dict[str, np.ndarray], steps: int) -> str:
    medians = {name: float(np.median(values)) for name, values in spent.items()}
    whole = sum(medians.values())
    rows = [f"| {LABELS[name].format(steps=steps)} | {value:.2f} | {value / whole:.0%} |" for name, value in medians.items()]
    return "\n".join(["| part | ms a tile | share |", "| --- | ---: | ---: |", *rows])


def _draw(prior: ort.InferenceSession, spec: Spec, seed: int, clocks: dict[str, _Clock]) -> np.ndarray:
    masks = np.full((spec.grid, spec.grid), spec.mask_token, np.int64)
    tokens = surrounded(spec, masks, {}, spec.prior_margin)[None]
    loop = {"seeds": [seed], "places": [place(*FIRST)], "steps": spec.steps, "choice_temperature": spec.choice_temperature}
    drawing = MaskedDrawing(tokens, spec.prior_margin, spec.codebook_size, **loop)
    free = np.full(1, FREE, np.float32)
    painted = np.full((1, spec.grid, spec.grid), FREE, np.int64)
    given = {"painted": painted, "biome": free.astype(np.int64), "ruggedness": free, "water_share": free}
    while not drawing.finished:
        feeds = given | {"tokens": drawing.tokens}
        (logits,) = clocks["prior"].run(lambda f=feeds: prior.run(None, f))
        clocks["drawing"].run(lambda v=logits: drawing.advance(v))
    codes: np.ndarray = drawing.codes[0]
    return codes


def _names(graph: ort.InferenceSession) -> list[str]:
    return [output.name for output in graph.get_outputs()]


def _arrivals(client: Client, name: str, seed: int, places: list[tuple[int, int]]) -> list[float]:
    start = time.perf_counter()
    return [time.perf_counter() - start for _ in client.stream_scenes(name, seed, places, output=OUTPUT)]


if __name__ == "__main__":
    main(tyro.cli(StreamingBenchConfig))
