"""Publishes a policy of Stable-Baselines3 or sb3-contrib as a bundle, behind the gate that asks Stable-Baselines3 itself."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from bridge.model_card import Provenance
from export.npc.policy_options import PolicyOptions
from export.npc.sb3_graph import drawn
from export.npc.sb3_graph.archive import SavedPolicy, from_algorithm, open_archive
from export.npc.sb3_graph.gate import Gate
from export.npc.sb3_graph.graph import PolicyGraph
from export.npc.sb3_graph.inputs import features_of
from export.npc.sb3_graph.normalizer import from_vec_normalize, open_normalizer
from export.onnx_model import Feeds, Graph, publish


def export_sb3(
    source: Path | BaseAlgorithm,
    models: Path,
    name: str,
    *,
    normalizer: Path | Any = None,
    options: PolicyOptions | None = None,
    version: int | None = None,
) -> Path:
    """Publish a `policy.zip` or an algorithm in memory, and return the bundle's folder.

    `normalizer` is a `vecnormalize.pkl` or a `VecNormalize`, for a policy that was trained on normalised observations.
    Raises `ValueError` for files that do not fit together and what `publish` raises.
    """
    options = options or PolicyOptions()
    saved = open_archive(source, options.trust) if isinstance(source, Path) else from_algorithm(source)
    if isinstance(normalizer, Path):
        statistics = open_normalizer(normalizer, options.trust)
    else:
        statistics = from_vec_normalize(normalizer) if normalizer is not None else {}
    features = features_of(
        saved.observation_space,
        frames=options.frames,
        channels_last=options.channels_last,
        statistics=statistics,
        notes=options.observation_notes,
    )
    module = PolicyGraph(saved, features)
    return publish(
        models,
        name=name,
        family="npc",
        graphs=[policy_graph(module, options.recorded)],
        spec=module.spec(options.tick_seconds, options.action_notes),
        provenance=_provenance(saved, options),
        version=version,
    )


def policy_graph(module: PolicyGraph, recorded: Path | None = None) -> Graph:
    """Return the graph `policy` with its gate."""

    def sample(rng: np.random.Generator, batch: int) -> Feeds:
        feeds = drawn.observations(module, rng, batch) | drawn.states(module, rng, batch)
        return feeds | drawn.noise(module, int(rng.integers(2**32)), 0, batch) | drawn.masks(module, rng, batch)

    def gate(path: Path, seed: int) -> Any:
        return Gate(module, path, seed, recorded).check()

    return Graph("policy", module, module.inputs, module.outputs, sample, gate=gate)


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip with a policy of Stable-Baselines3."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "policy.pth" in archive.namelist()


def _provenance(saved: SavedPolicy, options: PolicyOptions) -> Provenance:
    facts = dict(saved.facts)
    seed, steps = facts.pop("seed", None), facts.pop("num_timesteps", 0)
    return Provenance(
        dataset=options.environment,
        dataset_licence=options.environment_licence,
        trainer=f"Stable-Baselines3 {saved.algorithm}",
        seed=seed if isinstance(seed, int) else 0,
        config=facts,
        metrics={"steps": steps},
    )
