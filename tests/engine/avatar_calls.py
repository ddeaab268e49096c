"""What the C# programs leave behind when they call an avatar model, and the same answers from Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dotnet_program
import numpy as np
import numpy.typing as npt
import player
from PIL import Image
from sidecar_process import SidecarProcess

from bridge.v1.asset_pb2 import IMAGE_FORMAT_RGBA8, ROW_ORIGIN_BOTTOM_LEFT, ImageSpec
from bridge.v1.avatar_service_pb2 import AvatarSpec, Truncation

MODEL = "portrait"
SIZE = 8
PICTURE_SIZE = 24
SECONDS = 240.0
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Ran:
    """What a program reported, by name, and the folder of its files."""

    said: dict[str, str]
    folder: Path

    def pixels(self, name: str, size: int = SIZE) -> Pixels:
        """Return the pictures of a file, uint8[N, size, size, 4], the bottom row first."""
        return np.fromfile(self.folder / name, np.uint8).reshape(-1, size, size, 4)

    def styles(self, name: str) -> npt.NDArray[np.float32]:
        """Return the styles of a file, float32[N, layers, latent size]."""
        return np.fromfile(self.folder / name, np.float32).reshape(-1, 2, 4)


def write_picture(folder: Path) -> Path:
    """Write a picture with alpha as a PNG file and, beside it, as RGBA8 with the top row first; return the PNG's path."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = picture()
    (folder / "picture.rgba").write_bytes(pixels.tobytes())
    Image.fromarray(pixels).save(folder / "picture.png")
    return folder / "picture.png"


def picture() -> Pixels:
    """Return a picture uint8[24, 24, 4] with straight alpha, the top row first, different in all directions."""
    rows, columns = np.mgrid[:PICTURE_SIZE, :PICTURE_SIZE] / (PICTURE_SIZE - 1)
    planes = [rows, columns, 1 - rows * columns, np.clip(2 * columns, 0, 1)]
    pixels: Pixels = (255 * np.stack(planes, axis=2)).astype(np.uint8)
    pixels[pixels[..., 3] == 0] = 0
    return pixels


def spec(seeds: list[int], **fields: Any) -> AvatarSpec:
    """Return what the C# programs ask for: pixels with the bottom row first, truncation 0.8."""
    fields = {"image": rgba8(), "truncation": Truncation(psi=0.8), **fields}
    return AvatarSpec(seeds=seeds, **fields)


def rgba8(size_px: int = 0) -> ImageSpec:
    """Return the image specification of a texture."""
    return ImageSpec(format=IMAGE_FORMAT_RGBA8, row_origin=ROW_ORIGIN_BOTTOM_LEFT, size_px=size_px)


def on_dotnet(part: str, process: SidecarProcess, folder: Path) -> Ran:
    """Run a part of the calls on .NET 8 over HTTP/2."""
    said = dotnet_program.run(part, folder, process.address, str(write_picture(folder)))
    assert "error" not in said, said["error"]
    return Ran(said, folder)


def in_unity(part: str, process: SidecarProcess, folder: Path) -> Ran:
    """Run a part of the calls in the Unity player over gRPC-Web, and the components with "avatars"."""
    settings: dict[str, Any] = {"web": process.web, "seeds": [], "frame_rate": 60, "timeout_seconds": SECONDS}
    settings |= {"cancelled": True} if part == "cancelled" else {"picture": str(write_picture(folder).resolve())}
    with player.playing(settings, folder) as running:
        result = running.result(SECONDS + 30)
    assert result["ok"], result["error"]
    lines = (folder / "reported.tsv").read_text().splitlines()
    return Ran(dict(line.split("\t", 1) for line in lines), folder)


PLACES = {"dotnet": on_dotnet, "unity": in_unity}
NEEDS = {"dotnet": "dotnet_client", "unity": "unity_player"}
