"""The page of a default: how it was made and what was measured; all from its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from export.scene import obedience, seams
from export.scene.trained import Trained

CAPTIONS = {
    "curves": "How the last run learned:",
    "generated": "Tiles of seeds 0 to 63, with nothing asked for:",
    "blocks": "Blocks of 3 x 3 tiles, each tile drawn to fit the finished ones around it:",
    "reconstructions": "Held-out tiles, and below each row what their codes decode to:",
    "histograms": "Slopes and heights of held-out and generated tiles:",
    "autoregressive": "The autoregressive baseline, seeds 0 to 31:",
}


def page(name: str, trained: Trained, size: int, sheets: Sequence[str]) -> str:
    """Returns Markdown for the default `name`, whose weights take `size` bytes and which has these sheets beside it."""
    parts = [f"# The default `{name}`", _facts(trained, size)]
    if trained.record["metrics"]:
        parts.append(_measured(trained.record["metrics"]))
    for key, caption in CAPTIONS.items():
        if f"{name}-{key}.png" in sheets:
            parts.append(f"{caption}\n\n![{caption.rstrip(':')}]({name}-{key}.png)")
    return "\n\n".join(parts) + "\n"


def _facts(trained: Trained, size: int) -> str:
    sheet, record = trained.datasheet, trained.record
    worlds = ", ".join(f"{count} {kind}" for kind, count in sheet["worlds"].items())
    rows = [
        ("data", f"{sheet['source']}, {sheet['licence']}: {worlds} worlds, {sheet['tiles']:,} tiles side by side"),
        ("attribution", sheet["attribution"]),
        ("codes", f"{trained.vqvae.codes} codes, {trained.vqvae.config.grid} x {trained.vqvae.config.grid} a tile"),
        ("file", f"{size / 1e6:.2f} MB in float16"),
    ]
    for part, network in (("VQ-VAE", trained.vqvae), ("prior", trained.prior)):
        stage = record["vqvae" if part == "VQ-VAE" else "prior"]
        count = sum(parameter.numel() for parameter in network.parameters())
        then = "then the decoder alone" if part == "VQ-VAE" else "then"
        rows.append((part, f"{count:,} parameters, {_shown(stage, then)}"))
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows if value)])


def _shown(stage: dict[str, Any], then: str) -> str:
    """Tiles and hours of a network; of one that went on from earlier runs, those of each."""
    parts = [f"{run['tiles_seen']:,} tiles shown in {run['hours']:.2f} hours" for run in [*stage.get("earlier", []), stage]]
    return f", {then} ".join(parts)


def _measured(metrics: dict[str, Any]) -> str:
    parts = ["## Measured"]
    if "count" in metrics:
        parts += _tiles(metrics)
    if "seams" in metrics:
        parts += _seams(metrics["seams"])
    if "conditions" in metrics:
        parts += _conditions(metrics["conditions"])
    return "\n\n".join(parts)


def _tiles(metrics: dict[str, Any]) -> list[str]:
    parts = [f"On {metrics['count']:,} held-out tiles.", *_reconstruction(metrics["reconstruction"])]
    parts.append(f"FD-VGG of the hillshade, {metrics['count']:,} tiles against {metrics['count']:,} held-out ones:")
    parts.append(_table(metrics["fd_vgg"], "{:.4g}"))
    parts.append("How far histograms are from the held-out tiles', 0 being equal, 1 disjoint:")
    apart = metrics["histograms_apart"]
    parts.append(_table({f"{part}, {name}": v for part, found in apart.items() for name, v in found.items()}, "{:.3f}"))
    parts.append(
        f"Drawing codes with PyTorch, {metrics['steps']} steps a tile, tiles a second (ratio: masked over autoregressive):"
    )
    parts.append(_table(metrics["tiles_per_second"], "{:.2f}"))
    return parts


def _seams(found: dict[str, dict[str, float]]) -> list[str]:
    text = "Across borders over inside tiles, 1 being no seam; the data's are those of the same lines in held-out worlds:"
    rows = []
    for name in seams.KINDS:
        ratios = " | ".join(f"{part[f'{name}_ratio']:.2f}" for part in found.values())
        rows.append(f"| {name.replace('_', ' ')} | {ratios} |")
    return [text, "\n".join([f"| | {' | '.join(found)} |", f"| --- |{' ---: |' * len(found)}", *rows])]


def _conditions(found: dict[str, Any]) -> list[str]:
    text = (
        f"What conditions do: means of {found['tiles']} tiles for each line, asked for one thing alone. Of a biome it is the "
        "share of the tiles that have it by rule, of a ground class painted everywhere the share of the cells:"
    )
    rows = [f"| {asked} | {got:.2f} | {there:.2f} |" for asked, got, there in obedience.rows(found)]
    return [text, "\n".join(["| asked | got | with nothing asked |", "| --- | ---: | ---: |", *rows])]


def _reconstruction(found: dict[str, Any]) -> list[str]:
    heights = {
        "height error, mean, m": found["height_mae_m"],
        "height error, root mean square, m": found["height_rmse_m"],
        "height error, 95th percentile, m": found["height_p95_m"],
        "deviation of heights within a tile, m": found["relief_m"],
    }
    parts = [_table(heights, "{:.2f}")]
    parts.append(f"{found['codes_used']:.0%} of the codes are used; their perplexity is {found['perplexity']:.0f}.")
    for part in ("ground", "objects"):
        classes = {name: value for name, value in found[part].items() if isinstance(value, dict)}
        parts.append(
            f"{part.capitalize()}: {found[part]['accuracy']:.1%} of the cells are right. By class, share found and IoU:"
        )
        rows = [f"| {name} | {value['recall']:.2f} | {value['iou']:.2f} |" for name, value in classes.items()]
        parts.append("\n".join(["| | found | IoU |", "| --- | ---: | ---: |", *rows]))
    return parts


def _table(values: dict[str, float], form: str) -> str:
    rows = [f"| {name.replace('_', ' ')} | {form.format(value)} |" for name, value in values.items()]
    return "\n".join(["| | |", "| --- | ---: |", *rows])
