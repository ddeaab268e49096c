"""The bundles that the engine tests serve: the committed defaults, published by the families' own exporters.

They are kept in build/engine/, by the state of everything that makes them, so that only a change publishes them again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from csharp_build import BUILD, PROJECT

AVATAR = "pixel"
NPC = "assistant"
SOURCES = (
    "export/*.py",
    "export/avatar/*.py",
    "export/avatar/defaults/*",
    "export/npc/*.py",
    "export/npc/assistant/*.py",
    "export/npc/defaults/*.safetensors",
    "export/npc/sb3_graph/*.py",
    "export/npc/world/spec.py",
    "bridge/model_card.py",
    "bridge/seeds.py",
    "tests/engine/bundles.py",
)


def exported_models() -> Path:
    """Return a models folder with the default avatar generator and the default assistant."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(PROJECT.parent.glob(pattern)):
            digest.update(path.read_bytes())
    folder = BUILD / f"models-{digest.hexdigest()[:16]}"
    models = folder / "models"
    if not (models / AVATAR).exists():
        _write_avatar(models)
    if not (models / NPC).exists():
        _write_npc(models)
    return models


# The exporters' imports stand here because they take seconds, which tests without a sidecar need not wait.


def _write_avatar(models: Path) -> None:
    from export.avatar.to_onnx import export_avatar
    from export.avatar.trained import open_trained

    export_avatar(open_trained("default"), models, AVATAR)


def _write_npc(models: Path) -> None:
    from export.npc.assistant.publish import export_assistant

    export_assistant(Path("default"), models, NPC)
