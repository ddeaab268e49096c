"""The page of a default: how it was made, what was measured, what its sliders and its encoder do; all from its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from export.avatar import control_report, encoder_report
from export.avatar.trained import Trained, parameter_count

CAPTIONS = {
    "curve": "Over pictures shown, the loss of drawing again or, where it was measured in training, FD-VGG:",
    "controls": "One slider a row, from its lower end over the face itself to its upper end:",
    "projections": "Held-out pictures, and below each the avatar that it is projected to:",
    "neighbours": "Generated pictures, each beside the training pictures that are nearest to it:",
}
FIGURES = {
    "fd_vgg": "FD-VGG to held-out data",
    "kd_vgg": "KD-VGG to held-out data",
    "precision": "precision",
    "recall": "recall",
    "path_length": "path length",
}


def page(name: str, trained: Trained, size: int, sheets: Sequence[str]) -> str:
    """Returns Markdown for the default `name`, whose weights take `size` bytes and which has these sheets beside it."""
    parts = [
        f"# The default `{name}`",
        f"Seeds 0 to 63 at truncation {trained.generator.config.default_truncation}:\n\n![64 avatars]({name}.png)",
        _facts(trained, size),
        _training(trained.stages),
        *_picture(f"{name}-curve.png", sheets),
    ]
    if "generated" in trained.record["metrics"]:
        parts.append(_measured(trained.record["metrics"]))
    if trained.controls:
        parts += ["## Sliders", control_report.table(trained.controls), control_report.EXPLANATION]
        parts += _picture(f"{name}-controls.png", sheets)
    if trained.projector:
        parts += ["## Projection", encoder_report.table(trained.projector.measured)]
        parts += _picture(f"{name}-projections.png", sheets)
    if f"{name}-neighbours.png" in sheets:
        parts += ["## No copies", *_picture(f"{name}-neighbours.png", sheets)]
    return "\n\n".join(parts) + "\n"


def _facts(trained: Trained, size: int) -> str:
    sheet, generator, discriminator = trained.datasheet, trained.generator, trained.discriminator
    shape = f"{sheet.image_size} x {sheet.image_size} pixels, {'RGBA' if sheet.channels == 4 else 'RGB'}"
    if sheet.pixel_size > 1:
        shape += f", cells of {sheet.pixel_size} x {sheet.pixel_size} pixels"
    parts = ["both networks", *["sliders"] * (trained.controls is not None), *["encoder"] * (trained.projector is not None)]
    rows = [
        ("data", f"{sheet.source}, [{sheet.licence}]({sheet.licence_url}); {sheet.count:,} pictures for training"),
        ("attribution", sheet.attribution),
        ("pictures", shape),
        ("generator", f"{parameter_count(generator):,} parameters"),
        ("discriminator", f"{parameter_count(discriminator):,} parameters"),
        ("file", f"{size / 1e6:.2f} MB in float16: {', '.join(parts)}"),
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows if value)])


def _training(stages: Sequence[dict[str, Any]]) -> str:
    seen, hours = sum(stage["pictures_seen"] for stage in stages), sum(stage["hours"] for stage in stages)
    lines = ["## Training", f"{seen:,} pictures shown in {hours:.2f} hours of one CPU core."]
    if rested := sum(_rested(stage) for stage in stages):
        lines[-1] += f" In {rested:.2f} of them the generator rested: head starts, in which only the discriminator learns."
    for number, stage in enumerate(stages, 1):
        lines.append(
            f"{number}. {stage['pictures_seen']:,} pictures in {stage['hours']:.2f} hours, drawn from {stage['faces']:,}:\n"
            f"   `{stage['command']}`"
        )
    return "\n\n".join(lines)


def _rested(stage: dict[str, Any]) -> float:
    """Hours of a run in which only the discriminator learned."""
    return float(stage["hours"] * stage.get("generator_rested", 0) / stage["pictures_seen"])


def _measured(metrics: dict[str, Any]) -> str:
    ours, halves, count = metrics["generated"], metrics["halves_of_the_data"], metrics["count"]
    compared = f"{count:,} untruncated pictures against {count:,} {metrics['split']} ones"
    within = f"two disjoint sets of {count:,} {metrics['split']} ones against each other"
    ratio = f"The first row is {metrics['fd_vgg_ratio']:g} times the distance within the data."
    lines = ["## Measured", f"{compared}, and {within}; k = {metrics['k']}. {ratio}"]
    rows = ["| | generated | data |", "| --- | ---: | ---: |"]
    rows += [f"| {FIGURES[key]} | {ours[key]:g} | {halves.get(key, '-')} |" for key in FIGURES if key in ours]
    for space in ("pixels", "features"):
        near = metrics[f"nearest_in_{space}"]
        rows.append(
            f"| nearer to a training picture, in {space}, than 99 % of the held-out ones | {near['too_near']:.1%} | 1.0% |"
        )
    return "\n\n".join([*lines, "\n".join(rows)])


def _picture(file: str, sheets: Sequence[str]) -> list[str]:
    caption = CAPTIONS[file.removesuffix(".png").rpartition("-")[2]]
    return [f"{caption}\n\n![{caption.rstrip(':')}]({file})"] if file in sheets else []
