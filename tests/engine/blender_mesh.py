"""Runs inside Blender: `blender -b --factory-startup --python blender_mesh.py -- mesh.glb out.json` writes what it imported."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np

np.bool = bool  # Blender 3.4's importer still uses the name that NumPy has dropped
source, target = sys.argv[sys.argv.index("--") + 1 :]
bpy.ops.object.select_all(action="SELECT")
bpy.ops.object.delete()
bpy.ops.import_scene.gltf(filepath=source, merge_vertices=False)
(ground,) = (thing for thing in bpy.data.objects if thing.type == "MESH")
mesh = ground.data
mesh.calc_normals_split()
colours = mesh.color_attributes[0]
material = mesh.materials[0]
shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
corners = [{"vertex": loop.vertex_index, "normal": list(loop.normal)} for loop in mesh.loops]
found = {
    "version": bpy.app.version_string,
    "vertices": [list(ground.matrix_world @ vertex.co) for vertex in mesh.vertices],
    "faces": [{"corners": list(face.vertices), "normal": list(face.normal)} for face in mesh.polygons],
    "corners": corners,
    "colour_domain": colours.domain,
    "colours": [list(value.color) for value in colours.data],
    "material": material.name,
    "roughness": shader.inputs["Roughness"].default_value,
    "metallic": shader.inputs["Metallic"].default_value,
}
Path(target).write_text(json.dumps(found), "utf-8")
