"""Meshes of tiles as others read them: trimesh, and Blender where it is installed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny_scene
import trimesh
from conftest import run_sidecar

from bridge import tensors
from bridge.client import Client, heights
from bridge.v1 import scene_service_pb2 as pb

SIDE, CELL, VERTICES = 32.0, 2.0, 17
PLACES = [(0, 1), (1, 1)]
BLENDER = os.environ.get("METABRIDGE_BLENDER", "blender")
"""The program, or a script that starts it."""
SCRIPT = Path(__file__).with_name("blender_mesh.py")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    tiny_scene.write_scene(models)
    with run_sidecar(models) as live, Client(live.address) as client:
        yield list(client.generate_scene("island", [7], PLACES, output=pb.SceneOutput(return_mesh=True)).tiles)


@pytest.fixture(scope="module")
def meshes(tiles):
    """The tiles' meshes as trimesh reads them, where it keeps each vertex."""
    found = []
    for tile in tiles:
        scene = trimesh.load_scene(io.BytesIO(tile.mesh), file_type="glb", process=False)
        (mesh,) = scene.geometry.values()
        found.append(mesh)
    return found


def expected_positions(tile):
    along = np.arange(VERTICES) * CELL
    z, x = np.meshgrid(along, along, indexing="ij")
    return np.stack([x, heights(tile.heights), z], axis=2).reshape(-1, 3)


def expected_colours(tile):
    """Linear colours [V, V, 3] of the vertices inside, each the mean of the four cells around it."""
    srgb = np.array([one["colour"] for one in tiny_scene.SCENE_SPEC["ground_classes"]]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)[tensors.to_array(tile.ground, "ground")]
    return (linear[:-1, :-1] + linear[:-1, 1:] + linear[1:, :-1] + linear[1:, 1:]) / 4


def test_trimesh_finds_the_heights_of_the_answer_with_the_top_up(tiles, meshes):
    for tile, mesh in zip(tiles, meshes, strict=True):
        np.testing.assert_array_equal(mesh.vertices, expected_positions(tile))
        assert len(mesh.faces) == 2 * 16 * 16
        assert mesh.is_winding_consistent
        assert mesh.face_normals[:, 1].min() > 0
        assert (mesh.area_faces * mesh.face_normals[:, 1]).sum() == pytest.approx(SIDE**2)


def test_trimesh_finds_the_colours_of_the_ground_and_its_material(tiles, meshes):
    for tile, mesh in zip(tiles, meshes, strict=True):
        colours = mesh.visual.vertex_attributes["color"].reshape(VERTICES, VERTICES, 4)
        np.testing.assert_allclose(colours[1:-1, 1:-1, :3] / 65_535, expected_colours(tile), atol=1e-5)
        assert (colours[..., 3] == 65_535).all()
        assert mesh.visual.material.name == "ground"
        assert (mesh.visual.material.metallicFactor, mesh.visual.material.roughnessFactor) == (0.0, 1.0)


def test_trimesh_joins_neighbours_to_one_surface_without_a_break_in_the_light(meshes):
    west, east = (mesh.vertex_normals.reshape(VERTICES, VERTICES, 3) for mesh in meshes)
    np.testing.assert_array_equal(west[:, -1], east[:, 0])
    moved = meshes[1].copy()
    moved.apply_translation((SIDE, 0.0, 0.0))
    parts = [trimesh.Trimesh(mesh.vertices, mesh.faces, process=False) for mesh in (meshes[0], moved)]
    both = trimesh.util.concatenate(parts)
    both.merge_vertices()
    assert len(both.vertices) == VERTICES * (2 * VERTICES - 1)
    outline = trimesh.grouping.group_rows(both.edges_sorted, require_count=1)
    assert len(outline) == 6 * (VERTICES - 1), "an edge inside belongs to one triangle alone: a gap"


@pytest.fixture(scope="module")
def in_blender(tiles, tmp_path_factory):
    """What Blender imports of the first tile."""
    if shutil.which(BLENDER) is None:
        pytest.skip("NOT RUN: Blender is not installed: apt-get install --no-install-recommends blender python3-numpy")
    folder = tmp_path_factory.mktemp("blender")
    (folder / "tile.glb").write_bytes(tiles[0].mesh)
    command = [BLENDER, "-b", "--factory-startup", "--python-exit-code", "3", "--python", str(SCRIPT), "--"]
    done = subprocess.run(
        [*command, str(folder / "tile.glb"), str(folder / "found.json")],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads((folder / "found.json").read_text("utf-8"))


def test_blender_finds_the_ground_with_the_top_up(tiles, meshes, in_blender):
    x, y, z = expected_positions(tiles[0]).T
    np.testing.assert_allclose(in_blender["vertices"], np.stack([x, -z, y], axis=1), atol=1e-5)
    assert len(in_blender["faces"]) == 2 * 16 * 16
    assert min(face["normal"][2] for face in in_blender["faces"]) > 0
    x, y, z = np.asarray(meshes[0].vertex_normals).T
    normals = np.stack([x, -z, y], axis=1)
    for corner in in_blender["corners"]:
        np.testing.assert_allclose(corner["normal"], normals[corner["vertex"]], atol=2e-3)


def test_blender_finds_the_colours_and_the_material(tiles, in_blender):
    owner = [corner["vertex"] for corner in in_blender["corners"]]
    order = owner if in_blender["colour_domain"] == "CORNER" else range(VERTICES**2)
    colours = np.zeros((VERTICES**2, 4))
    colours[list(order)] = in_blender["colours"]
    inside = colours.reshape(VERTICES, VERTICES, 4)[1:-1, 1:-1, :3]
    np.testing.assert_allclose(inside, expected_colours(tiles[0]), atol=5e-3)
    assert (in_blender["material"], in_blender["roughness"], in_blender["metallic"]) == ("ground", 1.0, 0.0)
