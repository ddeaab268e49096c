"""Runs the NPC client's calls, written once in C#, on .NET 8 over HTTP/2 and inside the Unity player over gRPC-Web."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dotnet_program
import player
from sidecar_process import SidecarProcess

SECONDS = 120.0
Said = dict[str, str]


def on_dotnet(process: SidecarProcess, folder: Path) -> Said:
    """Run the calls on .NET 8; return what they reported."""
    said = dotnet_program.run("policies", folder, process.address)
    assert "error" not in said, said["error"]
    return said


def in_unity(process: SidecarProcess, folder: Path) -> Said:
    """Run the calls in the Unity player, then a brain with agents that fail; return what they reported."""
    settings: dict[str, Any] = {"web": process.web, "seeds": [], "frame_rate": 60, "timeout_seconds": SECONDS, "npcs": True}
    with player.playing(settings, folder) as running:
        result = running.result(SECONDS + 30)
    assert result["ok"], result["error"]
    return dict(line.split("\t", 1) for line in (folder / "reported.tsv").read_text().splitlines())


PLACES = {"dotnet": on_dotnet, "unity": in_unity}
NEEDS = {"dotnet": "dotnet_client", "unity": "unity_player"}
