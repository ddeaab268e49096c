"""The bundles that the engine tests serve, made by the families' own trainers and exporters.

They are kept in build/engine/, by the state of everything that makes them, so that only a change trains again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from csharp_build import BUILD, PROJECT

AVATAR = "pixel"
NPC = "assistant"
TRAINING_STEPS = 40_000
SOURCES = (
    "export/*.py",
    "export/avatar/*.py",
    "export/avatar/defaults/*",
    "export/npc/*.py",
    "bridge/model_card.py",
    "bridge/seeds.py",
    "tests/engine/bundles.py",
)


def exported_models() -> Path:
    """Return a models folder with the default avatar generator and a policy trained enough to walk."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(PROJECT.parent.glob(pattern)):
            digest.update(path.read_bytes())
    folder = BUILD / f"models-{digest.hexdigest()[:16]}"
    models = folder / "models"
    if not (models / AVATAR).exists():
        _write_avatar(models)
    if not (models / NPC).exists():
        _write_npc(models, folder / "runs")
    return models


# The exporters' imports stand here because they take seconds, which tests without a sidecar need not wait.


def _write_avatar(models: Path) -> None:
    from export.avatar.to_onnx import export_avatar
    from export.avatar.trained import open_trained

    export_avatar(open_trained("default"), models, AVATAR)


def _write_npc(models: Path, runs: Path) -> None:
    from export.npc.config import TrainConfig
    from export.npc.to_onnx import export_follower
    from export.npc.train import train

    config = TrainConfig(run="engine", runs=runs, seconds=0, steps=TRAINING_STEPS, seed=3)
    (config.folder / "checkpoint.pt").unlink(missing_ok=True)
    train(config)
    export_follower(config.folder, models, NPC)
