"""`report.md`: what ran, how fast, and what did not."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.episode import Episodes
from demo.scenes import SceneFigures
from demo.timing import Row


@dataclass
class Report:
    """What the demo found out; `engine` is the Unity player's result, or None when it was left out, and so is `scenes`."""

    rows: list[Row]
    episodes: Episodes
    train_seconds: float
    engine: dict[str, Any] | None
    models: Path
    start: float
    morph_rate: float
    projection_distance: float
    scenes: SceneFigures | None
    seconds: float = 0.0


def write_report(report: Report, path: Path) -> Path:
    """Write the report and return its path."""
    lines = [
        "# Demo report",
        "",
        f"{platform.platform(terse=True)}, Python {platform.python_version()}; the whole demo took {report.seconds:.0f} s, "
        f"the sidecar was ready after {report.start:.1f} s.",
        "",
        "![avatars](avatars.png)",
        "",
        "One slider a row, through `GenerateAvatars`:",
        "",
        "![sliders](sliders.png)",
        "",
        f"A morph through four seeds: `MorphAvatar` made {report.morph_rate:.0f} frames a second when nobody held it back.",
        "",
        "![morph](morph.gif)",
        "",
        f"Pictures and the avatars that `ProjectAvatar` finds for them, {report.projection_distance:.3f} apart on average "
        "(0 is equal, 1 black against white):",
        "",
        "![projection](projection.png)",
        "",
        *_scenes(report.scenes),
        "## Bundles, as published by the parity gate",
        "",
        "| bundle | graph | batches | largest error | allowed |",
        "| --- | --- | --- | ---: | ---: |",
        *_bundles(report.models),
        "",
        "## Calls",
        "",
        "| client | call | batch | calls | p50 ms | p99 ms | provider |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
        *(_row(row) for row in report.rows),
        *_engine_rows(report.engine, report.rows[0].provider),
        "",
        "## Episodes through the sidecar",
        "",
        "![npc](npc.gif)",
        "",
        f"Of {report.episodes.requests} requests the default assistant fulfilled {report.episodes.fulfilled}, and the one "
        f"that was trained here for {report.train_seconds:.0f} s {report.episodes.fulfilled_after_a_minute}.",
        "",
        "## Engine",
        "",
        *_engine(report.engine),
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _scenes(scenes: SceneFigures | None) -> list[str]:
    if scenes is None:
        return ["No scene default is committed, so no world is shown.", ""]
    return [
        f"A world: `StreamScenes` sent {scenes.tiles} tiles in {scenes.seconds:.1f} s, the first after "
        f"{scenes.first_seconds:.2f} s; each is drawn to fit those around it.",
        "",
        "![world](world.png)",
        "",
        "![extension](extension.gif)",
        "",
        "Held-out tiles, and what `EncodeScene` and `GenerateScene` make of their codes: heights are "
        f"{scenes.height_error_metres:.2f} m off on average, {scenes.ground_right:.0%} of the ground is right:",
        "",
        "![reconstruction](reconstruction.png)",
        "",
        "`EditScene` draws what lies inside the line anew:",
        "",
        "![inpainting](inpainting.gif)",
        "",
    ]


def _bundles(models: Path) -> list[str]:
    lines = []
    for path in sorted(models.glob("*/*/card.json")):
        card = json.loads(path.read_text("utf-8"))
        for graph in card["graphs"]:
            scale = max(output["scale"] for output in graph["outputs"])
            batches = _numbers(graph["parity_batches"])
            name = f"{card['name']} {card['version']}"
            lines.append(f"| {name} | {graph['name']} | {batches} | {graph['parity_error']:.1e} | {1e-4 * scale:.1e} |")
    return lines


def _numbers(batches: list[int]) -> str:
    first, last = batches[0], batches[-1]
    return f"{first} to {last}" if last - first + 1 == len(batches) > 4 else ", ".join(map(str, batches))


def _row(row: Row) -> str:
    return f"| {row.client} | {row.call} | {row.batch} | {row.calls} | {row.p50_ms:.2f} | {row.p99_ms:.2f} | {row.provider} |"


def _engine_rows(engine: dict[str, Any] | None, provider: str) -> list[str]:
    if engine is None:
        return []
    return [_row(Row(**row, provider=provider)) for row in engine["rows"]]


def _engine(engine: dict[str, Any] | None) -> list[str]:
    if engine is None:
        return ["The Unity player was not run (ENGINE=0)."]
    pictures = [f"![{name}](engine/{name})" for name in engine["avatars"]]
    return [
        f"{engine['engine']}: {'; '.join(engine['frames'])}.",
        f"{engine['npcs']} assistants, {engine['ticks']} ticks, rays through Unity's Physics: {engine['fulfilled']} of the "
        f"{engine['episodes']} requests that ended were fulfilled.",
        "Avatars as the engine's textures hold them, written by the player:",
        "",
        " ".join(pictures),
        "",
        f"Not run: {_sentence(engine['not_run'])}",
        "",
        f"{engine['notice']}",
    ]


def _sentence(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "; ".join(value)
