"""Tiny real ONNX bundles, written by hand, so that the sidecar's tests need neither torch nor a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bridge.model_card import GraphCard, ModelCard, Provenance, TensorSpec, sha256_file, write_card

POLICY = """
<ir_version: 10, opset_import: ["": 20]>
policy (float[batch,3] position, float[batch,7] noise, bool[batch,5] action_mask)
  => (float[batch,2] move, int64[batch,2] act)
{
  cuts = Constant <value_ints: ints = [2, 3, 2]> ()
  branches = Constant <value_ints: ints = [3, 2]> ()
  normal, gumbel_first, gumbel_second = Split <axis: int = 1> (noise, cuts)
  mean = MatMul (position, weights_move)
  drawn = Add (mean, normal)
  at_least = Max (drawn, low)
  move = Min (at_least, high)
  scores = MatMul (position, weights_act)
  forbidden = Constant <value_float: float = -1000000000.0> ()
  allowed = Where (action_mask, scores, forbidden)
  first, second = Split <axis: int = 1> (allowed, branches)
  first_drawn = Add (first, gumbel_first)
  second_drawn = Add (second, gumbel_second)
  act_first = ArgMax <axis: int = 1, keepdims: int = 1> (first_drawn)
  act_second = ArgMax <axis: int = 1, keepdims: int = 1> (second_drawn)
  act = Concat <axis: int = 1> (act_first, act_second)
}
"""

SCOUT = """
<ir_version: 10, opset_import: ["": 20]>
policy (uint8[batch,2,2,3] picture, int64[batch] door, float[batch,2] memory, float[batch,2] noise)
  => (float[batch,1] turn, int64[batch,1] act, float[batch,2] next_memory, float[batch] log_probability)
{
  half = Constant <value_float: float = 0.5> ()
  one = Constant <value_float: float = 1.0> ()
  column = Constant <value_ints: ints = [1]> ()
  cuts = Constant <value_ints: ints = [1, 1]> ()
  bytes = Flatten (picture)
  light = Cast <to: int = 1> (bytes)
  brightness = ReduceMean <keepdims: int = 1> (light, column)
  number = Cast <to: int = 1> (door)
  door_column = Unsqueeze (number, column)
  seen = Concat <axis: int = 1> (brightness, door_column)
  faded = Mul (memory, half)
  next_memory = Add (faded, seen)
  mean, score = Split <axis: int = 1> (next_memory, cuts)
  normal, gumbel = Split <axis: int = 1> (noise, cuts)
  turn = Add (mean, normal)
  against = Sub (score, one)
  scores = Concat <axis: int = 1> (against, gumbel)
  act = ArgMax <axis: int = 1, keepdims: int = 1> (scores)
  squared = Mul (normal, normal)
  log_column = Neg (squared)
  log_probability = Squeeze (log_column, column)
}
"""

DIARY = """
<ir_version: 10, opset_import: ["": 20]>
policy (float[batch,1] note, float[batch,8] pages) => (float[batch,8] read, float[batch,8] next_pages)
{
  second = Constant <value_ints: ints = [1]> ()
  end = Constant <value_ints: ints = [8]> ()
  kept = Slice (pages, second, end, second)
  next_pages = Concat <axis: int = 1> (kept, note)
  read = Identity (next_pages)
}
"""

MAPPING = """
<ir_version: 10, opset_import: ["": 20]>
mapping (float[batch,4] z, float[batch,4] z_mix, float[batch] truncation, int64[batch] mix_start, int64[batch] mix_end)
  => (float[batch,2,4] w)
{
  one = Constant <value_ints: ints = [1]> ()
  two = Constant <value_ints: ints = [1, 2]> ()
  layers = Constant <value_ints: ints = [0, 1]> ()
  own = Unsqueeze (z, one)
  other = Unsqueeze (z_mix, one)
  start = Unsqueeze (mix_start, one)
  end = Unsqueeze (mix_end, one)
  from_start = GreaterOrEqual (layers, start)
  before_end = Less (layers, end)
  is_other_2d = And (from_start, before_end)
  last = Constant <value_ints: ints = [2]> ()
  is_other = Unsqueeze (is_other_2d, last)
  styles = Where (is_other, other, own)
  psi = Unsqueeze (truncation, two)
  w = Mul (styles, psi)
}
"""

SYNTHESIS = """
<ir_version: 10, opset_import: ["": 20]>
synthesis (float[batch,2,4] w, float[batch,3] noise) => (float[batch,3,8,8] image)
{
  flat = Flatten (w)
  pixels = MatMul (flat, weights_image)
  grain = MatMul (noise, weights_noise)
  sum = Add (pixels, grain)
  bounded = Tanh (sum)
  shape = Constant <value_ints: ints = [0, 3, 8, 8]> ()
  image = Reshape (bounded, shape)
}
"""

RGBA_SYNTHESIS = """
<ir_version: 10, opset_import: ["": 20]>
synthesis (float[batch,2,4] w, float[batch,3] noise) => (float[batch,4,8,8] image)
{
  flat = Flatten (w)
  pixels = MatMul (flat, weights_image)
  grain = MatMul (noise, weights_noise)
  sum = Add (pixels, grain)
  light = Sigmoid (sum)
  shape = Constant <value_ints: ints = [0, 4, 8, 8]> ()
  straight = Reshape (light, shape)
  parts = Constant <value_ints: ints = [3, 1]> ()
  colours, alpha = Split <axis: int = 1> (straight, parts)
  dimmed = Mul (colours, alpha)
  premultiplied = Concat <axis: int = 1> (dimmed, alpha)
  two = Constant <value_float: float = 2.0> ()
  one = Constant <value_float: float = 1.0> ()
  doubled = Mul (premultiplied, two)
  image = Sub (doubled, one)
}
"""

CONTROL = """
<ir_version: 10, opset_import: ["": 20]>
control (float[batch,2,4] w_in, float[batch,2] controls) => (float[batch,2,4] w)
{
  moved = MatMul (controls, directions)
  shape = Constant <value_ints: ints = [0, 2, 4]> ()
  offset = Reshape (moved, shape)
  w = Add (w_in, offset)
}
"""

ENCODER = """
<ir_version: 10, opset_import: ["": 20]>
encoder (float[batch,4,8,8] image, float[batch,4,8,8] current, float[batch,2,4] w_in) => (float[batch,2,4] w)
{
  difference = Sub (image, current)
  flat = Flatten (difference)
  step = MatMul (flat, weights_encoder)
  shape = Constant <value_ints: ints = [0, 2, 4]> ()
  offset = Reshape (step, shape)
  w = Add (w_in, offset)
}
"""

NPC_SPEC: dict[str, Any] = {
    "observations": [{"name": "position", "shape": [3], "elements": ["x", "y", "z"], "units": "m"}],
    "actions": [
        {"name": "move", "kind": "continuous", "size": 2, "low": [-1.0, 0.5], "high": [1.0, 2.0]},
        {"name": "act", "kind": "discrete", "size": 2, "branches": [3, 2]},
    ],
    "noise": [{"kind": "normal", "size": 2}, {"kind": "gumbel", "size": 5}],
    "mask_size": 5,
    "tick_seconds": 0.1,
}
SCOUT_SPEC: dict[str, Any] = {
    "observations": [
        {"name": "picture", "shape": [2, 2, 3], "low": [0.0], "high": [255.0], "layout": "HWC"},
        {"name": "door", "shape": [], "low": [0.0], "high": [3.0], "elements": ["door"]},
    ],
    "actions": [
        {"name": "turn", "kind": "continuous", "size": 1, "low": [-1e4], "high": [1e4], "units": "rad/s"},
        {"name": "act", "kind": "discrete", "size": 1, "branches": [2]},
    ],
    "noise": [{"kind": "normal", "size": 1}, {"kind": "gumbel", "size": 1}],
    "states": [{"name": "memory", "output": "next_memory", "shape": [2], "initial": 4.0}],
    "log_probability": True,
    "tick_seconds": 0.2,
}
PAGES, BLANK = 8, -1.0
DIARY_SPEC: dict[str, Any] = {
    "observations": [{"name": "note", "shape": [1]}],
    "actions": [{"name": "read", "kind": "continuous", "size": PAGES, "low": [None] * PAGES, "high": [None] * PAGES}],
    "states": [{"name": "pages", "output": "next_pages", "shape": [PAGES], "initial": BLANK}],
}
AVATAR_SPEC: dict[str, Any] = {
    "image_size": 8,
    "image_channels": 3,
    "latent_size": 4,
    "num_layers": 2,
    "noise_size": 3,
    "default_truncation": 0.7,
    "controls": [],
    "attribution": [],
    "projection_steps": 0,
}
PORTRAIT_SPEC: dict[str, Any] = AVATAR_SPEC | {
    "image_channels": 4,
    "controls": [
        {"name": "glasses", "low": -1.0, "high": 1.0, "description": "glasses"},
        {"name": "hair", "low": -2.0, "high": 0.5, "description": "long hair"},
    ],
    "attribution": ["Nobody, CC0 1.0"],
    "projection_steps": 3,
}


def write_npc(models: Path, name: str = "guard", version: int = 1, neutral: Mapping[str, list[float]] | None = None) -> Path:
    """Write a policy with a continuous and a masked discrete action, `neutral` by their names; return the bundle's folder."""
    generator = np.random.default_rng(version)
    weights = {
        "weights_move": generator.normal(size=(3, 2)),
        "weights_act": generator.normal(size=(3, 5)),
        "low": np.array([-1.0, 0.5]),
        "high": np.array([1.0, 2.0]),
    }
    actions = [action | {"neutral": (neutral or {}).get(action["name"], [])} for action in NPC_SPEC["actions"]]
    return write_bundle(models, name, version, "npc", {"policy": (POLICY, weights)}, NPC_SPEC | {"actions": actions})


def write_scout(models: Path, name: str = "scout", version: int = 1) -> Path:
    """Write a recurrent policy of a picture and a category: its memory, 4 at first, halves each tick and adds what is seen.

    `turn` is the memory of the picture's mean byte; `act` is 0 where the memory of the door is 1 or more, 1 below that.
    """
    return write_bundle(models, name, version, "npc", {"policy": (SCOUT, {})}, SCOUT_SPEC)


def write_diary(models: Path, name: str = "diary", version: int = 1) -> Path:
    """Write a recurrent policy that acts as its memory reads: the last eight notes of the episode, the latest at the end."""
    return write_bundle(models, name, version, "npc", {"policy": (DIARY, {})}, DIARY_SPEC)


def write_avatar(models: Path, name: str = "face", version: int = 1) -> Path:
    """Write a generator of 8 px pictures; return the bundle's folder."""
    generator = np.random.default_rng(version)
    weights = {
        "weights_image": generator.normal(size=(8, 192)) / 2,
        "weights_noise": generator.normal(size=(3, 192)) / 10,
    }
    graphs = {"mapping": (MAPPING, {}), "synthesis": (SYNTHESIS, weights)}
    return write_bundle(models, name, version, "avatar", graphs, AVATAR_SPEC)


def write_portrait(models: Path, name: str = "portrait", version: int = 1) -> Path:
    """Write a generator of 8 px RGBA pictures with two controls and an encoder; return the bundle's folder."""
    weights = portrait_weights(version)
    graphs = {
        "mapping": (MAPPING, {}),
        "synthesis": (RGBA_SYNTHESIS, {name: weights[name] for name in ("weights_image", "weights_noise")}),
        "control": (CONTROL, {"directions": weights["directions"]}),
        "encoder": (ENCODER, {"weights_encoder": weights["weights_encoder"]}),
    }
    return write_bundle(models, name, version, "avatar", graphs, PORTRAIT_SPEC)


def portrait_weights(version: int = 1) -> dict[str, np.ndarray]:
    """Return the float32 weights of a portrait; the encoder's are a least-squares fit of styles to pictures."""
    generator = np.random.default_rng(version)
    weights = {
        "weights_image": generator.normal(size=(8, 256)),
        "weights_noise": generator.normal(size=(3, 256)) / 10,
        "directions": generator.normal(size=(2, 8)) / 2,
    }
    styles = generator.normal(size=(200, 8)) / 2
    pictures = portrait(weights, styles, np.zeros((200, 3))) - portrait(weights, np.zeros((1, 8)), np.zeros((1, 3)))
    weights["weights_encoder"] = np.linalg.lstsq(pictures.reshape(200, 256), styles, rcond=None)[0]
    return {name: value.astype(np.float32) for name, value in weights.items()}


def portrait(weights: dict[str, np.ndarray], w: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Compute in float64 what the portrait's synthesis graph makes of w [N, 2, 4] or [N, 8] and noise [N, 3]."""
    sums = w.reshape(len(w), 8) @ weights["weights_image"].astype(float) + noise @ weights["weights_noise"].astype(float)
    light = 1 / (1 + np.exp(-sums.reshape(-1, 4, 8, 8)))
    return np.concatenate([light[:, :3] * light[:, 3:], light[:, 3:]], axis=1) * 2 - 1


def write_bundle(
    models: Path,
    name: str,
    version: int,
    family: str,
    graphs: dict[str, tuple[str, dict[str, np.ndarray]]],
    spec: dict[str, Any],
) -> Path:
    """Write graphs given as ONNX text and float32 weights, with a card that fits them."""
    folder = models / name / str(version)
    folder.mkdir(parents=True)
    cards = []
    for graph_name, (text, weights) in graphs.items():
        model = onnx.parser.parse_model(text)
        for weight, value in weights.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float32), weight))
        onnx.checker.check_model(model)
        path = folder / f"{graph_name}.onnx"
        onnx.save(model, path)
        cards.append(graph_card(graph_name, model, path))
    write_card(card_of(name, family, version, cards, spec), folder / "card.json")
    return folder


def card_of(name: str, family: str, version: int, graphs: list[GraphCard], spec: dict[str, Any]) -> ModelCard:
    """Return a card for hand-written graphs."""
    provenance = Provenance(dataset="none", dataset_licence="CC0-1.0", trainer="written by hand", seed=0)
    return ModelCard(name=name, family=family, version=version, graphs=graphs, spec=spec, provenance=provenance)


def graph_card(name: str, model: onnx.ModelProto, path: Path) -> GraphCard:
    """Describe a graph as its file has it."""
    return GraphCard(
        name=name,
        file=path.name,
        sha256=sha256_file(path),
        opset=20,
        inputs=[_spec(value) for value in model.graph.input],
        outputs=[_spec(value) for value in model.graph.output],
        parity_error=0.0,
        parity_batches=[1],
    )


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorSpec(name=value.name, dtype=dtype, shape=shape)
