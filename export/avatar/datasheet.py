"""What a data set is made of and on which terms, in a form that travels with models trained on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

ABSENT = "none"
"""Stands for a part that a face does not have."""


@dataclass(frozen=True)
class Datasheet:
    """The record of a data set, after Gebru et al. 2021 (arXiv:1803.09010) cut down to what can be counted."""

    source: str
    """For people: "DiceBear pixel-art" or "folder cats"."""
    style: str
    """Name of the built-in style; empty for folders."""
    licence: str
    """SPDX identifier, or what the user gave."""
    licence_url: str
    """Where the terms stand; empty where unknown."""
    attribution: str
    """The line that must go with copies; empty where none is asked for."""
    redistributable: bool
    """Whether the terms are known to let a model trained on the pictures be passed on."""
    count: int
    """Pictures in the set."""
    left_out: int
    """Pictures that were drawn or found but not taken."""
    image_size: int
    """Side of the pictures in pixels."""
    channels: int
    """3 for RGB, 4 for RGBA."""
    pixel_size: int
    """Every picture consists of squares with sides of so many pixels."""
    seed: int
    """Seed of the drawn pictures; 0 for folders."""
    split: str
    """"train" or "held-out"."""
    versions: dict[str, str]
    """Packages that the pictures depend on."""
    attributes: dict[str, dict[str, float]]
    """For each label the share of the pictures with each value; the shares of a label sum to 1."""

    def to_json(self) -> dict[str, Any]:
        """The datasheet as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Datasheet:
        """Reads what `to_json` gave; raises TypeError for missing or unknown fields."""
        return cls(**values)


def shares(labels: Sequence[dict[str, str]]) -> dict[str, dict[str, float]]:
    """For each label the share of the pictures that have each value, commonest first."""
    names = sorted({name for label in labels for name in label})
    counts = {name: Counter(label.get(name, ABSENT) for label in labels) for name in names}
    return {name: {value: round(n / len(labels), 4) for value, n in counts[name].most_common()} for name in names}


def in_words(sheet: Datasheet, values: int = 6) -> str:
    """The datasheet as text for a terminal: one line a fact, each label with its commonest values."""
    shape = f"{sheet.image_size} x {sheet.image_size} x {sheet.channels}"
    facts = {
        "source": sheet.source,
        "licence": f"{sheet.licence} {sheet.licence_url}".strip(),
        "attribution": sheet.attribution or ("none required" if sheet.redistributable else "unknown"),
        "models may be passed on": "yes" if sheet.redistributable else "not known to be allowed",
        "pictures": f"{sheet.count} ({sheet.split}), {sheet.left_out} left out",
        "shape": f"{shape}, pixel size {sheet.pixel_size}, seed {sheet.seed}",
        "packages": ", ".join(f"{name} {version}" for name, version in sheet.versions.items()),
    }
    lines = [f"{name:<24}{text}" for name, text in facts.items()]
    for name, table in sheet.attributes.items():
        text = ", ".join(f"{value} {share:.1%}" for value, share in list(table.items())[:values])
        rest = f", {len(table) - values} more" if len(table) > values else ""
        lines.append(f"  {name:<22}{text}{rest}")
    return "\n".join(lines)
