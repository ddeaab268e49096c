"""The policy that all servers serve, and what their programs have to know of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cases import latest

PROGRAMS = Path(__file__).with_name("programs")


@dataclass(frozen=True)
class Target:
    """A policy: its models folder, its name, its file, and its spec as programs/tick.py reads it."""

    models: Path
    name: str
    path: Path
    spec: dict[str, Any]

    def variables(self) -> dict[str, str]:
        """Return the environment of servers and clients: one thread a run, everywhere. `bridge` comes with our own Python."""
        settings = {"POLICY": str(self.path.resolve()), "POLICY_NAME": self.name, "POLICY_SPEC": json.dumps(self.spec)}
        quiet = {"BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
        return os.environ | settings | quiet | {"PYTHONPATH": str(PROGRAMS), "OMP_NUM_THREADS": "1"}


def target(models: Path, name: str) -> Target:
    """Return a policy of a models folder.

    `ValueError` for one that the programs cannot run: they know float32 observations, noise and a mask, and answer its first
    action.
    """
    bundle = latest(models, name)
    card = json.loads((bundle / "card.json").read_text())
    (graph,), spec = card["graphs"], card["spec"]
    observations = {o["name"]: o["shape"] for o in spec["observations"]}
    dtypes = {i["name"]: i["dtype"] for i in graph["inputs"]}
    others = [name for name in observations if dtypes[name] != "float32"]
    states = [state["name"] for state in spec.get("states", [])]
    if others or states:
        raise ValueError(
            f'policy "{name}" has the recurrent states {states} and the observations {others} that are not float32; '
            "the peers' programs know neither: name another policy with --policy"
        )
    action = next(output for output in graph["outputs"] if output["name"] == spec["actions"][0]["name"])
    noise, mask = sum(part["size"] for part in spec["noise"]), spec["mask_size"]
    wanted = {"observations": observations, "noise": noise, "mask": mask}
    wanted["action"] = {"name": action["name"], "dtype": action["dtype"], "shape": action["shape"][1:]}
    return Target(models, name, bundle / graph["file"], wanted)
