"""Policies that ML-Agents exported: their names and shapes become a spec, and the numbers that they draw become noise.

What ML-Agents 2 and 3 write (`mlagents/trainers/torch_entities/model_serialization.py`) takes `obs_0` ..., `action_masks` and
`recurrent_in`, and gives `continuous_actions`, `discrete_actions`, their `deterministic_` counterparts, `recurrent_out`, and
constants that say how large these are. Actions are drawn inside the graph, by RandomNormalLike and Multinomial: here these give
way to the input `noise`, with which zeros give the likeliest action.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from bridge.npc_card import MASK, NOISE
from export.npc.foreign.onnx_files import open_session, publish_model, read_model, run_rows
from export.npc.policy_options import PolicyOptions
from export.npc.spec_file import PolicySpec, policy_spec

Array = npt.NDArray[Any]
VERSIONS = (3,)
OBSERVATIONS, MASKS, STATE, NEXT_STATE = "obs_", "action_masks", "recurrent_in", "recurrent_out"
CONTINUOUS, DISCRETE = "continuous_actions", "discrete_actions"
CONSTANTS = ("version_number", "memory_size", "continuous_action_output_shape", "discrete_action_output_shape")
RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
SLICE_BY_INPUTS = 10
"""The opset from which Slice takes its ends as inputs."""


def is_ml_agents(model: onnx.ModelProto) -> bool:
    """Return whether a model has the outputs that ML-Agents gives every policy."""
    names = {value.name for value in model.graph.output}
    return {"version_number", "memory_size"} <= names


def export_ml_agents(source: Path, models: Path, name: str, options: PolicyOptions, version: int | None = None) -> Path:
    """Publish a policy that ML-Agents exported; `ValueError` for a version or a graph that is not understood."""
    original = read_model(source)
    if not is_ml_agents(original):
        names = [value.name for value in original.graph.output]
        raise ValueError(f"{source}: has the outputs {names}, expected ML-Agents' version_number and memory_size, or --spec")
    try:
        session = open_session(original, source)
        sizes = _constants(session)
        model = onnx.ModelProto()
        model.CopyFrom(original)
        drawn, squashed = _rewrite(model, sizes)
        policy = _spec(model, sizes, drawn, options)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    actions = [spec.name for spec in policy.spec.actions]
    known = {value.name for value in original.graph.output}
    inputs = {value.name for value in original.graph.input}

    def reference(feeds: Mapping[str, Array], deterministic: bool) -> dict[str, Array]:
        """Return what the file itself answers to each agent alone; what it draws can be compared with nothing."""
        given = {name: array for name, array in feeds.items() if name in inputs}
        if MASKS in inputs:
            given[MASKS] = feeds[MASK].astype(np.float32)
        likeliest = {action: f"deterministic_{action}" for action in actions if f"deterministic_{action}" in known}
        if not drawn:
            likeliest |= {action: action for action in actions}
        wanted = {state.output: state.output for state in policy.spec.states} | (likeliest if deterministic else {})
        if not wanted:
            return {}
        values = run_rows(session, list(wanted.values()), given)
        answers = {name: values[original_name] for name, original_name in wanted.items()}
        if squashed and wanted.get(CONTINUOUS, CONTINUOUS) != CONTINUOUS:
            # The likeliest action of SAC's tanh-squashed Gaussian leaves ML-Agents without its tanh.
            answers[CONTINUOUS] = np.tanh(answers[CONTINUOUS])
        return {name: array.astype(np.int64) if name == DISCRETE else array for name, array in answers.items()}

    return publish_model(model, policy, reference, source, models, name, options, version)


def _constants(session: Any) -> dict[str, list[int]]:
    """Return the numbers by which a file describes itself; `ValueError` for a version that is not known."""
    known = {output.name for output in session.get_outputs()}
    feeds = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in value.shape]
        feeds[value.name] = np.ones(shape, np.float32) if value.name == MASKS else np.zeros(shape, np.float32)
    names = [name for name in CONSTANTS if name in known]
    sizes = {name: np.ravel(array).astype(int).tolist() for name, array in zip(names, session.run(names, feeds), strict=True)}
    if sizes["version_number"][0] not in VERSIONS:
        raise ValueError(
            f"version_number is {sizes['version_number'][0]}, expected {VERSIONS[0]}: export it with ML-Agents 2 or 3"
        )
    return sizes


def _rewrite(model: onnx.ModelProto, sizes: dict[str, list[int]]) -> tuple[list[dict[str, Any]], bool]:
    """Keep the actions and the state alone, feed noise and masks as every policy here takes them; return the noise's columns.

    Also returns whether continuous actions come out of a tanh.
    """
    graph = model.graph
    wanted = [name for name in (CONTINUOUS, DISCRETE, NEXT_STATE) if any(value.name == name for value in graph.output)]
    kept = [value for value in graph.output if value.name in wanted]
    del graph.output[:]
    graph.output.extend(kept)
    _drop_unused(graph)
    drawn = _feed_noise(model, sizes)
    squashed = any(node.op_type == "Tanh" and CONTINUOUS in node.output for node in graph.node)
    if any(value.name == MASKS for value in graph.input):
        _feed_masks(graph)
    if DISCRETE in wanted:
        _as_int64(graph, DISCRETE)
    used = {name for node in graph.node for name in node.input}
    weights = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name in used and value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    return drawn, squashed


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and weights that lead to no output."""
    needed, kept = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
            needed |= {name for inner in _subgraphs(node) for part in inner.node for name in part.input}
    del graph.node[:]
    graph.node.extend(reversed(kept))
    weights = [weight for weight in graph.initializer if weight.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def _subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]


def _feed_noise(model: onnx.ModelProto, sizes: dict[str, list[int]]) -> list[dict[str, Any]]:
    """Put columns of the input `noise` in place of every node that draws."""
    graph, columns, nodes = model.graph, [], []
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    branches, continuous = list(sizes.get("discrete_action_output_shape", [])), sizes.get("continuous_action_output_shape", [0])
    start = 0
    for node in graph.node:
        if node.op_type not in RANDOM:
            nodes.append(node)
            continue
        if node.op_type == "RandomNormalLike":
            kind, size = "normal", int(continuous[0])
        elif node.op_type == "Multinomial" and branches and _attribute(node, "sample_size", 1) == 1:
            kind, size = "gumbel", branches.pop(0)
        else:
            raise ValueError(f'the graph draws by "{node.op_type}", which no seed controls; export it without')
        part = f"metabridge_noise_{len(columns)}"
        nodes += _slice(graph, part, start, start + size, opset)
        nodes += _normal(graph, node, part) if kind == "normal" else _choice(node, part)
        columns.append({"kind": kind, "size": size})
        start += size
    if columns:
        del graph.node[:]
        graph.node.extend(nodes)
        graph.input.append(helper.make_tensor_value_info(NOISE, TensorProto.FLOAT, ["batch", start]))
    return columns


def _slice(graph: onnx.GraphProto, name: str, start: int, end: int, opset: int) -> list[onnx.NodeProto]:
    if opset < SLICE_BY_INPUTS:
        return [helper.make_node("Slice", [NOISE], [name], starts=[start], ends=[end], axes=[1])]
    ends = {f"{name}_start": start, f"{name}_end": end, f"{name}_axis": 1}
    graph.initializer.extend(helper.make_tensor(key, TensorProto.INT64, [1], [value]) for key, value in ends.items())
    return [helper.make_node("Slice", [NOISE, *ends], [name])]


def _normal(graph: onnx.GraphProto, node: onnx.NodeProto, part: str) -> list[onnx.NodeProto]:
    """Return nodes that scale and shift standard normals as the node that drew did."""
    scale, mean = _attribute(node, "scale", 1.0), _attribute(node, "mean", 0.0)
    if (scale, mean) == (1.0, 0.0):
        return [helper.make_node("Identity", [part], node.output)]
    graph.initializer.append(helper.make_tensor(f"{part}_scale", TensorProto.FLOAT, [1], [scale]))
    graph.initializer.append(helper.make_tensor(f"{part}_mean", TensorProto.FLOAT, [1], [mean]))
    scaled = f"{part}_scaled"
    return [
        helper.make_node("Mul", [part, f"{part}_scale"], [scaled]),
        helper.make_node("Add", [scaled, f"{part}_mean"], node.output),
    ]


def _choice(node: onnx.NodeProto, part: str) -> list[onnx.NodeProto]:
    """Return nodes that take the arg-max of unnormalised log-probabilities plus Gumbel numbers: a draw."""
    scores, chosen, dtype = f"{part}_scores", f"{part}_chosen", _attribute(node, "dtype", TensorProto.INT32)
    return [
        helper.make_node("Add", [node.input[0], part], [scores]),
        helper.make_node("ArgMax", [scores], [chosen], axis=1, keepdims=1),
        helper.make_node("Cast", [chosen], node.output, to=dtype),
    ]


def _feed_masks(graph: onnx.GraphProto) -> None:
    """Feed `action_masks`, float32 with 1 for what is allowed, from the bool input `action_mask`."""
    (old,) = [value for value in graph.input if value.name == MASKS]
    width = old.type.tensor_type.shape.dim[1].dim_value
    graph.input.remove(old)
    graph.input.append(helper.make_tensor_value_info(MASK, TensorProto.BOOL, ["batch", width]))
    graph.node.insert(0, helper.make_node("Cast", [MASK], [MASKS], to=TensorProto.FLOAT))


def _as_int64(graph: onnx.GraphProto, name: str) -> None:
    """Give an output of whole numbers of any type the type that discrete actions have."""
    inner = f"{name}_as_drawn"
    for node in graph.node:
        node.output[:] = [inner if output == name else output for output in node.output]
        node.input[:] = [inner if value == name else value for value in node.input]
    graph.node.append(helper.make_node("Cast", [inner], [name], to=TensorProto.INT64))
    for value in graph.output:
        if value.name == name:
            value.type.tensor_type.elem_type = TensorProto.INT64


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(part) for part in node.attribute if part.name == name), default)


def _spec(
    model: onnx.ModelProto, sizes: dict[str, list[int]], drawn: list[dict[str, Any]], options: PolicyOptions
) -> PolicySpec:
    """Return the spec that names, shapes and constants of a file amount to."""
    shapes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim][1:] for value in model.graph.input}
    outputs = {value.name for value in model.graph.output}
    observations = [_observation(name, shape, options) for name, shape in shapes.items() if name.startswith(OBSERVATIONS)]
    unknown = [name for name in shapes if not name.startswith(OBSERVATIONS) and name not in (MASK, NOISE, STATE)]
    if unknown:
        raise ValueError(f"has the inputs {unknown}, expected obs_0 and so on, action_masks and recurrent_in")
    actions, notes = [], options.action_notes
    if CONTINUOUS in outputs:
        size = sizes["continuous_action_output_shape"][0]
        named = {"elements": list(notes.elements) if len(notes.elements) == size else [], "units": notes.units}
        actions.append(
            {"name": CONTINUOUS, "kind": "continuous", "size": size, "low": [-1.0] * size, "high": [1.0] * size} | named
        )
    if DISCRETE in outputs:
        branches = sizes["discrete_action_output_shape"]
        actions.append({"name": DISCRETE, "kind": "discrete", "size": len(branches), "branches": branches})
    states = [{"name": STATE, "output": NEXT_STATE, "shape": shapes[STATE]}] if STATE in shapes else []
    return policy_spec(
        {
            "observations": observations,
            "actions": actions,
            "noise": drawn,
            "mask_size": shapes[MASK][0] if MASK in shapes else 0,
            "states": states,
            "tick_seconds": options.tick_seconds,
        }
    )


def _observation(name: str, shape: list[int], options: PolicyOptions) -> dict[str, Any]:
    notes = options.observation_notes.get(name)
    named = {"elements": list(notes.elements), "units": notes.units} if notes else {}
    return {"name": name, "shape": shape, "layout": "CHW" if len(shape) == 3 else ""} | named
