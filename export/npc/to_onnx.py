"""Publishes a policy as the graph `policy`, whatever it was trained with: raw observations in, engine-ready actions out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bridge.model_card import Provenance, TensorSpec
from export.npc.assistant.publish import export_assistant, is_assistant
from export.npc.config import SESSION_FIELDS
from export.npc.env import (
    ACTION_ELEMENTS,
    ACTION_HIGH,
    ACTION_LOW,
    DT,
    ELEMENTS,
    OBSERVATION_HIGH,
    OBSERVATION_LOW,
    OBSERVATION_SIZE,
)
from export.npc.foreign.ml_agents import export_ml_agents
from export.npc.foreign.onnx_files import export_bare
from export.npc.foreign.rllib import export_rllib, module_folder
from export.npc.foreign.torch_modules import call_factory, export_module, open_program
from export.npc.policy import policy_from, read_run
from export.npc.policy_options import PolicyOptions
from export.npc.sb3_graph.publish import export_sb3, is_archive
from export.npc.spec_file import read_spec
from export.onnx_model import Feeds, Graph, publish

__all__ = ["PolicyOptions", "export_assistant", "export_follower", "export_policy"]

UNITS = "metres, metres per second, radians per second; right-handed, +Y up, +Z forward, left is +X at heading 0"
ACTION_UNITS = "speed in metres per second; turn in radians per second about +Y, positive to the NPC's left"


def export_policy(
    source: str,
    models: Path,
    name: str,
    *,
    normalizer: Path | None = None,
    spec: Path | None = None,
    options: PolicyOptions | None = None,
    version: int | None = None,
) -> Path:
    """Publish the policy that `source` names, of any kind that `python -m export npc onnx --help` lists; return its folder.

    Raises `ValueError` for a file that holds no policy and for options that it does not take, and what `publish` raises.
    """
    options, path = options or PolicyOptions(), Path(source)
    if is_archive(path) or path.suffix == ".zip":
        _takes_no("--spec", spec, path)
        return export_sb3(path, models, name, normalizer=normalizer, options=options, version=version)
    _takes_no("--normalizer", normalizer, path)
    if path.suffix == ".onnx":
        if spec is None:
            return export_ml_agents(path, models, name, options, version)
        return export_bare(path, models, name, spec, options, version)
    if path.suffix == ".pt2" or (":" in source and not path.exists()):
        if spec is None:
            raise ValueError(f"{source} does not say what it observes and how it acts; write that down and name it with --spec")
        module = open_program(path) if path.suffix == ".pt2" else call_factory(source)
        label = path.name if path.suffix == ".pt2" else source
        return export_module(module, read_spec(spec), models, name, source=label, options=options, version=version)
    _takes_no("--spec", spec, path)
    folder = module_folder(path)
    if folder is not None:
        return export_rllib(folder, models, name, options, version)
    if is_assistant(path):
        return export_assistant(path, models, name, version)
    return export_follower(path, models, name, version)


def _takes_no(option: str, given: Path | None, source: Path) -> None:
    if given is not None:
        raise ValueError(f"{option} is {given}, but {source} takes none; leave it out")


def export_follower(source: Path, models: Path, name: str, version: int | None = None) -> Path:
    """Publish the run folder or checkpoint `source` and return the bundle's folder; raises what `publish` raises."""
    state = read_run(source)
    return publish(
        models,
        name=name,
        family="npc",
        graphs=[policy_graph(state)],
        spec=card_spec(),
        provenance=provenance(state),
        version=version,
    )


def policy_graph(state: dict[str, Any]) -> Graph:
    """observation and noise to move."""
    width = len(ACTION_ELEMENTS)
    inputs = (
        TensorSpec("observation", "float32", ["batch", OBSERVATION_SIZE]),
        TensorSpec("noise", "float32", ["batch", width]),
    )
    low, high = float(ACTION_LOW.min()), float(ACTION_HIGH.max())
    outputs = (TensorSpec("move", "float32", ["batch", width], low=low, high=high, scale=1.0),)
    return Graph("policy", policy_from(state), inputs, outputs, sample_feeds)


def sample_feeds(rng: np.random.Generator, batch: int) -> Feeds:
    """Draw observations from the whole of their ranges, and noise of which every other row is zero."""
    noise = rng.standard_normal((batch, len(ACTION_ELEMENTS)), np.float32)
    noise[::2] = 0.0
    observation = rng.uniform(OBSERVATION_LOW, OBSERVATION_HIGH, (batch, OBSERVATION_SIZE)).astype(np.float32)
    return {"observation": observation, "noise": noise}


def card_spec() -> dict[str, Any]:
    """The npc section of the card."""
    observation = {
        "name": "observation",
        "shape": [OBSERVATION_SIZE],
        "low": OBSERVATION_LOW.tolist(),
        "high": OBSERVATION_HIGH.tolist(),
        "elements": list(ELEMENTS),
        "units": UNITS,
    }
    action = {
        "name": "move",
        "kind": "continuous",
        "size": len(ACTION_ELEMENTS),
        "low": ACTION_LOW.tolist(),
        "high": ACTION_HIGH.tolist(),
        "branches": [],
        "elements": list(ACTION_ELEMENTS),
        "units": ACTION_UNITS,
    }
    return {
        "observations": [observation],
        "actions": [action],
        "noise": [{"kind": "normal", "size": len(ACTION_ELEMENTS)}],
        "mask_size": 0,
        "tick_seconds": DT,
    }


def provenance(state: dict[str, Any]) -> Provenance:
    """Where the policy comes from: the simulated plaza, the options that changed weights, and the last metrics."""
    config = {key: value for key, value in state["config"].items() if key not in SESSION_FIELDS}
    metrics = state["metrics"] | {"steps": state["steps"], "seconds": round(state["seconds"], 1)}
    return Provenance(
        dataset="the plaza simulated by export.npc.env",
        dataset_licence="Apache-2.0",
        trainer="export.npc PPO",
        seed=config["seed"],
        config=config,
        metrics=metrics,
    )
