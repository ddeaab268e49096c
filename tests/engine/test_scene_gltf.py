"""The Khronos validator finds nothing to say about the meshes of tiles."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import packages
import pytest
import tiny_scene
from conftest import run_sidecar

from bridge.client import Client
from bridge.v1 import asset_pb2
from bridge.v1 import scene_service_pb2 as pb

VALIDATE = """
const validator = require(process.argv[1]);
const bytes = new Uint8Array(require('fs').readFileSync(process.argv[2]));
validator.validateBytes(bytes, {maxIssues: 20}).then(report => console.log(JSON.stringify(report)));
"""


@pytest.fixture(scope="module")
def validate():
    """Return a function from a file to the validator's report."""
    try:
        module = packages.unpacked(packages.GLTF_VALIDATOR) / "package"
    except packages.Unavailable as reason:
        pytest.skip(str(reason))
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if node is None:
        pytest.skip("node is not installed")

    def report(file: Path) -> dict:
        done = subprocess.run([node, "-e", VALIDATE, str(module), str(file)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return report


@pytest.mark.parametrize("space", [asset_pb2.COORDINATE_SPACE_GLTF, asset_pb2.COORDINATE_SPACE_UNREAL])
def test_the_validator_has_nothing_to_say(validate, tmp_path, space):
    tiny_scene.write_scene(tmp_path / "models")
    with run_sidecar(tmp_path / "models") as live, Client(live.address) as client:
        output = pb.SceneOutput(space=space, return_mesh=True)
        tiles = client.generate_scene("island", [1, 2], output=output).tiles
    for number, tile in enumerate(tiles):
        file = tmp_path / f"{number}.glb"
        file.write_bytes(tile.mesh)
        report = validate(file)
        assert report["issues"]["messages"] == []
        assert report["info"]["totalVertexCount"] == 17 * 17
        assert report["info"]["totalTriangleCount"] == 2 * 16 * 16


def test_the_validator_sees_what_is_wrong(validate, tmp_path):
    file = tmp_path / "broken.glb"
    file.write_bytes(b"glTF" + bytes(20))
    assert validate(file)["issues"]["numErrors"] > 0
