"""The page of a default: how it was made and what was measured; all from its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from export.scene.trained import Trained

CAPTIONS = {
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
        rows.append((part, f"{count:,} parameters, {stage['tiles_seen']:,} tiles shown in {stage['hours']:.2f} hours"))
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows if value)])


def _measured(metrics: dict[str, Any]) -> str:
    count, redrawn = metrics["count"], metrics["reconstruction"]
    lines = [
        "## Measured",
        f"On {count:,} held-out tiles.",
        _table(
            ["height error, mean", "height error, root mean square"],
            [f"{redrawn['height_mae_m']:.2f} m", f"{redrawn['height_rmse_m']:.2f} m"],
        ),
    ]
    lines.append(f"{redrawn['codes_used']:.0%} of the codes are used; their perplexity is {redrawn['perplexity']:.0f}.")
    for part in ("ground", "objects"):
        classes = {name: value for name, value in redrawn[part].items() if isinstance(value, dict)}
        lines.append(f"{part.capitalize()}: {redrawn[part]['accuracy']:.1%} of the cells are right. By class, recall / IoU:")
        lines.append(_table(list(classes), [f"{value['recall']:.2f} / {value['iou']:.2f}" for value in classes.values()]))
    lines.append(f"FD-VGG of the hillshade, {count:,} tiles against {count:,} held-out ones:")
    lines.append(_table([key.replace("_", " ") for key in metrics["fd_vgg"]], [f"{v:.4g}" for v in metrics["fd_vgg"].values()]))
    if "seams" in metrics:
        found = metrics["seams"]["generated"]
        lines.append("Across borders over inside tiles, 1 being no seam:")
        lines.append(
            _table(
                ["height step", "bend", "class mismatch"],
                [f"{found[f'{name}_ratio']:.2f}" for name in ("step", "bend", "mismatch")],
            )
        )
    return "\n\n".join(lines)


def _table(names: Sequence[str], values: Sequence[str]) -> str:
    rows = [f"| {name} | {value} |" for name, value in zip(names, values, strict=True)]
    return "\n".join(["| | |", "| --- | ---: |", *rows])
