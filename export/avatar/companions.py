"""Controls and encoder of a run: files beside its checkpoint, each tied to the state of the generator it was made for."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from export.avatar.controls import Controls, from_record, record_of
from export.avatar.encoder import Encoder
from export.avatar.model import Generator

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Projector:
    """An encoder with the number of steps it is best run for and what was measured about it."""

    encoder: Encoder
    steps: int
    measured: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """Steps and measurements as plain JSON values."""
        return {"steps": self.steps, "measured": self.measured}


def generator_digest(generator: Generator) -> str:
    """SHA-256 of a generator's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(generator.state_dict().items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def control_tensors(controls: Controls) -> dict[str, Tensor]:
    """The directions as files keep them, in float16."""
    return {"controls.directions": controls.directions.half().contiguous()}


def encoder_tensors(projector: Projector) -> dict[str, Tensor]:
    """The encoder's weights as files keep them, in float16."""
    return {f"encoder.{key}": value.half().contiguous() for key, value in projector.encoder.state_dict().items()}


def build_projector(generator: Generator, record: dict[str, Any], weights: dict[str, Tensor]) -> Projector:
    """Puts an encoder from its tensors (`encoder.*`) and its record together again."""
    encoder = Encoder(generator.config)
    encoder.load_state_dict(
        {key.removeprefix("encoder."): value.float() for key, value in weights.items() if key.startswith("encoder.")}
    )
    return Projector(encoder.eval().requires_grad_(False), record["steps"], record["measured"])


def write_controls(controls: Controls, folder: Path, generator: Generator) -> Path:
    """Writes `controls.safetensors` and `controls.json` beside a run's checkpoint; returns the first."""
    return _write(folder, "controls", control_tensors(controls), {"sliders": record_of(controls)}, generator)


def write_projector(projector: Projector, folder: Path, generator: Generator) -> Path:
    """Writes `encoder.safetensors` and `encoder.json` beside a run's checkpoint; returns the first."""
    return _write(folder, "encoder", encoder_tensors(projector), projector.record(), generator)


def read_controls(folder: Path, generator: Generator) -> Controls | None:
    """Reads what `write_controls` wrote; None where there is nothing for this state of the generator."""
    found = _read(folder, "controls", generator)
    return found and from_record(found[0]["sliders"], found[1]["controls.directions"])


def read_projector(folder: Path, generator: Generator) -> Projector | None:
    """Reads what `write_projector` wrote; None where there is nothing for this state of the generator."""
    found = _read(folder, "encoder", generator)
    return found and build_projector(generator, *found)


def _write(folder: Path, name: str, tensors: dict[str, Tensor], record: dict[str, Any], generator: Generator) -> Path:
    path = folder / f"{name}.safetensors"
    path.write_bytes(safetensors.torch.save(tensors))
    text = json.dumps({"generator": generator_digest(generator)} | record, indent=2)
    path.with_suffix(".json").write_text(text + "\n", "utf-8")
    return path


def _read(folder: Path, name: str, generator: Generator) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    weights, record = folder / f"{name}.safetensors", folder / f"{name}.json"
    if not weights.is_file() or not record.is_file():
        return None
    found: dict[str, Any] = json.loads(record.read_text("utf-8"))
    if found.pop("generator") != generator_digest(generator):
        LOG.warning(
            '"%s" was made for another state of the generator and is left out; run python -m export avatar %s --from %s',
            *(weights, name, folder),
        )
        return None
    return found, safetensors.torch.load_file(weights)
