"""Opens what was trained: VQ-VAEs and priors, from checkpoints, run folders and committed defaults."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from bridge.model_card import Provenance
from bridge.scene_card import TileKind
from export import checkpoint
from export.scene import prior as priors
from export.scene.config import TrainConfig
from export.scene.data import Sources
from export.scene.heightmap_file import Reading
from export.scene.prior_config import PriorConfig
from export.scene.vqvae import VQVAE
from export.scene.vqvae_config import VQVAEConfig

TRAINER = "export.scene VQ-VAE with masked prior"
DEFAULTS = Path(__file__).parent / "defaults"
DEFAULT_NAME = "terrain"
VQVAE_KIND, PRIOR_KIND = "scene-vqvae", "scene-prior"
_NOT_RECORDED = {"runs", "cache", "path", "minutes", "resume", "log_every", "save_minutes", "threads", "vqvae"}
"""Options left out of records: they change no weight, or tell about the machine."""


@dataclass(frozen=True)
class Trained:
    """A VQ-VAE and the averaged prior over its codes, on the CPU in float32, and their record."""

    vqvae: VQVAE
    prior: priors.Prior
    record: dict[str, Any]

    @property
    def datasheet(self) -> dict[str, Any]:
        """What the networks were trained on, and on which terms."""
        return dict(self.record["datasheet"])

    @property
    def climate(self) -> list[TileKind]:
        """What tiles of the data are like, by which worlds are drawn where nothing is asked for."""
        return [TileKind(*row) for row in self.record["climate"]]

    @property
    def provenance(self) -> Provenance:
        """The part of the record that a model card carries."""
        return Provenance(
            dataset=self.datasheet["source"],
            dataset_licence=self.datasheet["licence"],
            datasheet=self.datasheet,
            trainer=TRAINER,
            seed=self.record["vqvae"]["config"]["seed"],
            config={"vqvae": self.record["vqvae"]["config"], "prior": self.record["prior"]["config"]},
            metrics=self.record["metrics"]
            | {"training": {part: training_totals(self.record[part]) for part in ("vqvae", "prior")}},
        )


def training_totals(part: dict[str, Any]) -> dict[str, Any]:
    """How many tiles a network saw in how many hours, in all its runs."""
    runs = [*part.get("earlier", []), part]
    return {"tiles_seen": sum(run["tiles_seen"] for run in runs), "hours": round(sum(run["hours"] for run in runs), 3)}


def open_trained(source: str) -> Trained:
    """Opens "default", the name of a committed default, or a prior's checkpoint file or run folder.

    Raises CheckpointError when there is no such thing, and says what could be given.
    """
    name = DEFAULT_NAME if source == "default" else source
    if (DEFAULTS / f"{name}.safetensors").is_file():
        return load_default(name)
    path = checkpoint_path(source)
    if not path.is_file():
        names = sorted(file.stem for file in DEFAULTS.glob("*.safetensors"))
        raise checkpoint.CheckpointError(
            f'"{source}" is neither a default (there are {names}) nor the checkpoint file or run folder of a prior'
        )
    return load_checkpoint(path)


def open_vqvae(source: str) -> tuple[VQVAE, dict[str, Any]]:
    """The VQ-VAE of a default (by its name), run folder or checkpoint, and its state. Raises CheckpointError.

    The state of a default is what a checkpoint of its VQ-VAE would hold, but for the optimiser.
    """
    name = DEFAULT_NAME if source == "default" else source
    if (DEFAULTS / f"{name}.safetensors").is_file():
        return _vqvae_of(load_default(name, DEFAULTS))
    state = checkpoint.load(checkpoint_path(source), VQVAE_KIND)
    return build_vqvae(state["config"], state["model"]), state


def _vqvae_of(trained: Trained) -> tuple[VQVAE, dict[str, Any]]:
    record = trained.record["vqvae"]
    state = {
        "config": record["config"],
        "model": trained.vqvae.state_dict(),
        "datasheet": trained.datasheet,
        "earlier": record["earlier"],
        "step": record["tiles_seen"] // record["config"]["batch"],
        "seconds": record["hours"] * 3600,
        "metrics": record["metrics"],
    }
    return trained.vqvae, state


def open_pictures(source: str) -> tuple[VQVAE, dict[str, Any]] | None:
    """The VQ-VAE of pictures of a run folder or checkpoint, and its whole state; None for anything else."""
    if not checkpoint_path(source).is_file():
        return None
    try:
        vqvae, state = open_vqvae(source)
    except checkpoint.CheckpointError:
        return None
    return (vqvae, state) if vqvae.config.mode == "image" else None


def checkpoint_path(source: str) -> Path:
    """The checkpoint file of a run folder, or the file itself."""
    path = Path(source)
    return path / "checkpoint.pt" if path.is_dir() else path


def load_checkpoint(path: Path) -> Trained:
    """Loads the averaged prior of a training checkpoint and the VQ-VAE in it. Raises CheckpointError."""
    try:
        state = checkpoint.load(path, PRIOR_KIND)
    except checkpoint.CheckpointError as error:
        raise checkpoint.CheckpointError(_lone_vqvae(path) or str(error)) from error
    below = state["vqvae"]
    record = {
        "datasheet": below["datasheet"],
        "climate": state["climate"],
        "metrics": {},
        "vqvae": recorded(below) | {"earlier": below["earlier"]},
        "prior": recorded(state) | {"earlier": state["earlier"]},
    }
    prior = build_prior(state["config"], record["vqvae"]["config"], state["average"])
    return Trained(build_vqvae(below["config"], below["model"]), prior, record)


def _lone_vqvae(path: Path) -> str:
    """What to do with the checkpoint of a VQ-VAE, which has no prior; nothing about any other file."""
    try:
        state = checkpoint.load(path, VQVAE_KIND)
    except checkpoint.CheckpointError:
        return ""
    if state["config"]["model"]["mode"] == "image":
        return f'"{path}" is a VQ-VAE of pictures, which no prior draws; onnx publishes it, all else takes a prior of tiles'
    return f'"{path}" is a VQ-VAE without a prior; train one over its codes: python -m export scene prior --vqvae {path.parent}'


def load_default(name: str = DEFAULT_NAME, folder: Path = DEFAULTS) -> Trained:
    """Loads a default: float16 weights, as float32."""
    record = json.loads((folder / f"{name}.json").read_text("utf-8"))
    weights = {key: value.float() for key, value in safetensors.torch.load_file(folder / f"{name}.safetensors").items()}
    parts = [{k.removeprefix(p): v for k, v in weights.items() if k.startswith(p)} for p in ("vqvae.", "prior.")]
    config = record["vqvae"]["config"]
    return Trained(build_vqvae(config, parts[0]), build_prior(record["prior"]["config"], config, parts[1]), record)


def write_default(trained: Trained, name: str, folder: Path = DEFAULTS) -> Path:
    """Writes `<name>.safetensors` with both networks as float16 and `<name>.json` with the record.

    Raises ValueError when the terms of the data do not let a model be passed on, or a weight does not fit into float16.
    """
    sheet = trained.datasheet
    if not sheet["redistributable"]:
        terms = f"{sheet['source']} has the licence {sheet['licence']}"
        raise ValueError(f"{terms}, which is not known to let a model be passed on")
    folder.mkdir(parents=True, exist_ok=True)
    networks: dict[str, nn.Module] = {"vqvae": trained.vqvae, "prior": trained.prior}
    weights = {
        f"{part}.{key}": value.half().contiguous()
        for part, network in networks.items()
        for key, value in network.state_dict().items()
        if key not in ("quantiser.counts", "quantiser.sums")
    }
    for key, value in weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(f'weight "{key}" does not fit into float16')
    path = folder / f"{name}.safetensors"
    path.write_bytes(safetensors.torch.save(weights))
    (folder / f"{name}.json").write_text(json.dumps(trained.record, indent=2) + "\n", "utf-8")
    return path


def build_vqvae(config: dict[str, Any], weights: dict[str, Tensor]) -> VQVAE:
    """The VQ-VAE of a configuration with these weights; the codebook's averages may be missing."""
    shape = config["model"]
    model = VQVAE(VQVAEConfig(**shape | {"fsq_levels": tuple(shape["fsq_levels"])}))
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"quantiser.counts", "quantiser.sums"}:
        raise checkpoint.CheckpointError(
            f"weights of a VQ-VAE: {sorted(missing)} are missing, {sorted(unexpected)} are unknown"
        )
    return model.eval().requires_grad_(False)


def build_prior(config: dict[str, Any], vqvae_config: dict[str, Any], weights: dict[str, Tensor]) -> priors.Prior:
    """The prior of a configuration with these weights."""
    shape = vqvae_config["model"]
    vqvae = VQVAEConfig(**shape | {"fsq_levels": tuple(shape["fsq_levels"])})
    prior = priors.build(vqvae.codes, vqvae.grid, PriorConfig(**config["model"]))
    prior.load_state_dict(weights)
    return prior.eval().requires_grad_(False)


def train_config(config: dict[str, Any], **changes: Any) -> TrainConfig:
    """A VQ-VAE's options from its checkpoint."""
    known = {field.name for field in dataclasses.fields(TrainConfig)} - {"model", "sources", "reading", "runs", "cache"}
    values = {key: value for key, value in config.items() if key in known}
    return TrainConfig(**values, sources=Sources(**config["sources"]), reading=Reading(**config["reading"]), **changes)


def recorded(state: dict[str, Any]) -> dict[str, Any]:
    """What a record keeps of a run."""
    config = json.loads(json.dumps(state["config"]))
    return {
        "config": {key: value for key, value in config.items() if key not in _NOT_RECORDED},
        "tiles_seen": state["step"] * config["batch"],
        "hours": round(state["seconds"] / 3600, 3),
        "metrics": {name: round(value, 5) for name, value in state["metrics"].items()},
    }
