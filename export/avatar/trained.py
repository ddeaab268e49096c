"""Opens trained generators: the committed defaults, checkpoints of runs, and run folders."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from bridge.model_card import Provenance
from export import checkpoint
from export.avatar import companions
from export.avatar.config import SESSION_FIELDS, TrainConfig
from export.avatar.controls import Controls, from_record, record_of
from export.avatar.datasheet import Datasheet
from export.avatar.model import Discriminator, Generator, ModelConfig

TRAINER = "export.avatar StyleGAN2"
DEFAULTS = Path(__file__).parent / "defaults"
DEFAULT_NAME = "pixel"
_PLACES = {"runs", "cache", "resume", "log_every", "grid_minutes", "save_minutes", "device"}
_NOT_RECORDED = SESSION_FIELDS | {"path", "licence"}
"""Options left out of records: they change no weight, or tell about the machine."""


@dataclass(frozen=True)
class Trained:
    """An averaged generator with the discriminator that judged it, on the CPU in float32, and their record.

    Sliders and an encoder are there once they have been made for this generator.
    """

    generator: Generator
    discriminator: Discriminator
    record: dict[str, Any]
    controls: Controls | None = None
    projector: companions.Projector | None = None

    @property
    def datasheet(self) -> Datasheet:
        """What the networks were trained on, and on which terms."""
        return Datasheet.from_json(self.record["datasheet"])

    @property
    def stages(self) -> list[dict[str, Any]]:
        """The runs that led here, the first one first: each with source, faces, pictures_seen, hours and command.

        `generator_rested` is there, with a number of pictures, where only the discriminator learned from the first ones.
        """
        config = self.record["config"]
        last = {key: self.record[key] for key in ("pictures_seen", "hours", "command")}
        stage = {"source": config["source"], "faces": self.datasheet.count, **last}
        rested = min(stage["pictures_seen"], int(config.get("head_start_kimg", 0) * 1000))
        return [*self.record["earlier"], stage | ({"generator_rested": rested} if rested else {})]

    def offset(self, values: Mapping[str, float]) -> Tensor:
        """What sliders add to the styles: [num_layers, L]; raises ValueError for a name or a value not offered."""
        if self.controls is None:
            raise ValueError(f"this generator has no control {sorted(values)}; run: python -m export avatar controls")
        return self.controls.offset(values)

    @property
    def provenance(self) -> Provenance:
        """The part of the record that a model card carries."""
        config = self.record["config"]
        totals = {key: round(sum(stage[key] for stage in self.stages), 3) for key in ("pictures_seen", "hours")}
        return Provenance(
            dataset=self.datasheet.source,
            dataset_licence=self.datasheet.licence,
            datasheet=self.record["datasheet"],
            trainer=TRAINER,
            seed=config["seed"],
            config=config | {"stages": self.stages},
            metrics=self.record["metrics"] | totals,
        )


def open_trained(source: str) -> Trained:
    """Opens "default", the name of a committed default, a checkpoint file, or a run folder.

    Raises CheckpointError when there is no such thing, and says what could be given.
    """
    name = DEFAULT_NAME if source == "default" else source
    if (DEFAULTS / f"{name}.safetensors").is_file():
        return load_default(name)
    path = Path(source)
    if path.is_dir():
        path = path / "checkpoint.pt"
    if not path.is_file():
        names = sorted(file.stem for file in DEFAULTS.glob("*.safetensors"))
        raise checkpoint.CheckpointError(
            f'"{source}" is neither a default (there are {names}) nor a checkpoint file or run folder'
        )
    return load_checkpoint(path)


def load_default(name: str = DEFAULT_NAME, folder: Path = DEFAULTS) -> Trained:
    """Loads a default: float16 weights, as float32."""
    record = json.loads((folder / f"{name}.json").read_text("utf-8"))
    weights = safetensors.torch.load_file(folder / f"{name}.safetensors")
    controls, encoder = record.pop("controls", None), record.pop("encoder", None)
    trained = _build(record, {key: value.float() for key, value in weights.items()})
    return dataclasses.replace(
        trained,
        controls=from_record(controls, weights["controls.directions"]) if controls else None,
        projector=companions.build_projector(trained.generator, encoder, weights) if encoder else None,
    )


def load_checkpoint(path: Path) -> Trained:
    """Loads the averaged generator and the discriminator of a training checkpoint, and what stands beside it."""
    state = checkpoint.load(path, "avatar")
    config = json.loads(json.dumps(state["config"]))
    record = {
        "datasheet": state["datasheet"],
        "earlier": state["earlier"],
        "pictures_seen": state["step"] * config["batch"],
        "hours": round(state["seconds"] / 3600, 3),
        "command": state.get("command") or training_command(config),
        "metrics": {name: round(value, 4) for name, value in state["metrics"].items()},
        "config": {key: value for key, value in config.items() if key not in _NOT_RECORDED},
    }
    weights = {f"generator.{key}": value for key, value in state["average"].items()}
    weights |= {f"discriminator.{key}": value for key, value in state["discriminator"].items()}
    trained = _build(record, weights)
    return dataclasses.replace(
        trained,
        controls=companions.read_controls(path.parent, trained.generator),
        projector=companions.read_projector(path.parent, trained.generator),
    )


def write_default(trained: Trained, name: str, folder: Path = DEFAULTS) -> Path:
    """Writes `<name>.safetensors` with networks, directions and encoder as float16 and `<name>.json` with the record.

    Raises ValueError when the terms of the data do not let a model be passed on, or a weight does not fit into float16.
    """
    if not trained.datasheet.redistributable:
        sheet = trained.datasheet
        raise ValueError(f"{sheet.source} has the licence {sheet.licence}, which is not known to let a model be passed on")
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, nn.Module] = {"generator": trained.generator, "discriminator": trained.discriminator}
    weights = {f"{part}.{key}": value for part, network in parts.items() for key, value in network.state_dict().items()}
    record = dict(trained.record)
    if trained.controls:
        weights |= companions.control_tensors(trained.controls)
        record["controls"] = record_of(trained.controls)
    if trained.projector:
        weights |= companions.encoder_tensors(trained.projector)
        record["encoder"] = trained.projector.record()
    halves = {key: value.half().contiguous() for key, value in weights.items()}
    for key, value in halves.items():
        if not torch.isfinite(value).all():
            raise ValueError(f'weight "{key}" does not fit into float16')
    path = folder / f"{name}.safetensors"
    path.write_bytes(safetensors.torch.save(halves))
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return path


def training_command(config: dict[str, Any]) -> str:
    """The command that starts such a run: every option that changes the weights and is not at its default."""
    return command_line("train", config, TrainConfig().to_json())


def command_line(verb: str, config: dict[str, Any], standard: dict[str, Any]) -> str:
    """`python -m export avatar <verb>` with every option that is not at its standard, but for those that tell about places."""
    words = ["python", "-m", "export", "avatar", verb]
    defaults = _flat(standard)
    for key, value in _flat(config).items():
        if key in _PLACES or value == defaults.get(key):
            continue
        flag = key.replace("_", "-")
        words += (
            [f"--{flag}" if value[0] else f"--no-{flag}"] if isinstance(value[0], bool) else [f"--{flag}", *map(str, value)]
        )
    return shlex.join(words)


def _flat(config: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Options by their name on the command line, each with its words."""
    options: dict[str, Any] = {}
    for key, value in config.items():
        options |= {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
    return {key: tuple(value) if isinstance(value, (list, tuple)) else (value,) for key, value in options.items()}


def _build(record: dict[str, Any], weights: dict[str, torch.Tensor]) -> Trained:
    shape = dict(record["config"]["model"])
    config = ModelConfig(**shape | {"channels": tuple(shape["channels"])})
    generator, discriminator = Generator(config), Discriminator(config)
    for prefix, network in (("generator.", generator), ("discriminator.", discriminator)):
        part = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        network.load_state_dict(part)
        network.eval().requires_grad_(False)
    return Trained(generator, discriminator, record)


def parameter_count(network: nn.Module) -> int:
    """How many numbers a network has learned."""
    return int(np.sum([parameter.numel() for parameter in network.parameters()]))
