"""Two runs side by side: their curves of FD-VGG over pictures shown, and what each draws in the end.

Either may have stopped on the way or be complete already: what is left of each is trained, if a curve will come of it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from export import checkpoint
from export.avatar.config import TrainConfig
from export.avatar.pictures import over
from export.avatar.sample import generate
from export.avatar.train import CHECKPOINT, JUDGE, KIND
from export.avatar.trained import open_trained
from export.curves import CHART, COLOURS, MARGIN, PAPER, Curve, draw_curves, read_curve, read_events, run_folder
from export.run_log import picture_grid

CURVES = ("metric/fd_vgg", "pretrain/loss")
"""What tells how a generator comes on, the most telling first."""
GRID_PX = 480


def rest_of(config: TrainConfig) -> TrainConfig:
    """What is left of a run: all of it where there is no checkpoint, no step where its budget is used up.

    Minutes count over all sessions of the run, unlike those of `train`.
    """
    path = config.folder / CHECKPOINT
    if not path.exists():
        return dataclasses.replace(config, resume=False)
    state = checkpoint.load(path, KIND)
    left = config.minutes - state["seconds"] / 60
    if config.minutes and left <= 0:
        return dataclasses.replace(config, resume=True, kimg=_images_seen(state) / 1000, minutes=0.0)
    return dataclasses.replace(config, resume=True, minutes=left if config.minutes else 0.0)


def check_measured(rest: TrainConfig) -> None:
    """Raises ValueError when a run has no curve of FD-VGG and what is left of it will not give one."""
    seen = _images_seen(checkpoint.load(rest.folder / CHECKPOINT, KIND)) if rest.resume else 0
    if rest.resume and JUDGE in read_events(rest.folder).Tags()["scalars"]:
        return
    if not rest.metric_kimg:
        raise ValueError("metric_kimg is 0, so nothing would be measured; a comparison needs it above 0")
    every = rest.metric_kimg * 1000
    last = math.ceil(int(rest.kimg * 1000) / rest.batch) * rest.batch
    if rest.kimg and last <= seen:
        raise ValueError(
            f'the run "{rest.folder}" is complete with {seen:,} pictures, but was never measured: it has no curve to compare; '
            f"train again with --compare-scratch, another --run and a --metric-kimg of at most {seen / 1000:g}"
        )
    if rest.kimg and last // every <= seen // every:
        raise ValueError(
            f'the run "{rest.folder}" would end without a curve to compare: it goes from {seen:,} to {last:,} pictures, and '
            f"with metric_kimg {rest.metric_kimg:g} none of its measurements lies there; give a smaller --metric-kimg"
        )


def _images_seen(state: Mapping[str, Any]) -> int:
    return int(state["step"] * state["config"]["batch"])


def write_comparison(runs: Mapping[str, Path], stem: Path, *, curve: str = JUDGE) -> Path:
    """Writes `<stem>.json` with the curves and `<stem>.png` with curves and grids of two runs by their titles.

    Returns the picture's path. Raises ValueError when a run has not measured the curve.
    """
    curves = {title: read_curve(folder, curve) for title, folder in runs.items()}
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".json").write_text(json.dumps(curves, indent=2) + "\n", "utf-8")
    grids = []
    for folder in runs.values():
        images = over(generate(open_trained(str(folder)).generator, range(36)))
        grids.append(Image.fromarray(picture_grid(images, 6)).resize((GRID_PX, GRID_PX), Image.Resampling.NEAREST))
    page = Image.new("RGB", (2 * GRID_PX + 3 * MARGIN, GRID_PX + CHART[1] + 3 * MARGIN), PAPER)
    page.paste(draw_curves(curves, f"{curve} over pictures shown"), ((page.width - CHART[0]) // 2, MARGIN // 2))
    for place, (title, grid) in enumerate(zip(runs, grids, strict=True)):
        x, y = MARGIN + place * (GRID_PX + MARGIN), CHART[1] + 2 * MARGIN
        page.paste(grid, (x, y))
        ImageDraw.Draw(page).text((x, y - 30), title, COLOURS[place], ImageFont.load_default(20))
    picture = stem.with_suffix(".png")
    page.save(picture)
    return picture


def training_curves(*runs: str) -> tuple[dict[str, Curve], str] | None:
    """The curve of the first of some runs that measured FD-VGG or drew pictures again, by the run's name, and what it shows.

    None where no folder of a run is there, as for a default.
    """
    for run in runs:
        folder = run_folder(run)
        if folder is None:
            continue
        events = read_events(folder)
        for name in CURVES:
            if name in events.Tags()["scalars"]:
                return {folder.name: read_curve(folder, name)}, f"{name} over pictures shown"
    return None
