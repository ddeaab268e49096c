"""What an engine offers and reports: Gymnasium's spaces from the contract's messages, and everything that is none refused."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from remote_engine import box_spec

from bridge import tensors
from bridge.errors import FailedPrecondition, InvalidArgument, ServiceError
from bridge.v1 import environment_service_pb2 as pb
from bridge.v1 import tensor_pb2
from export.npc.remote_env.reports import read_report
from export.npc.remote_env.spec import MAX_ELEMENTS, check_same, read_spec, spec_from_json

MIB = 1 << 20
BOX, DISCRETE, MULTI, BITS = (
    pb.SpaceKind.Value(f"SPACE_KIND_{n}") for n in ("BOX", "DISCRETE", "MULTI_DISCRETE", "MULTI_BINARY")
)


def mixed() -> pb.EnvironmentSpec:
    """An offer with every kind of part."""
    spec = pb.EnvironmentSpec(name="mixed", environments=2, agents=3, mask_width=5)
    spec.observations.add(name="rays", kind=BOX, shape=[2, 3], low=[-1], high=range(1, 7))
    spec.observations.add(name="view", kind=BOX, shape=[4, 4, 3], dtype=tensor_pb2.DATA_TYPE_UINT8)
    spec.observations.add(name="door", kind=DISCRETE, choices=[4])
    spec.observations.add(name="keys", kind=MULTI, shape=[2], choices=[3, 2])
    spec.observations.add(name="lamps", kind=BITS, shape=[5])
    spec.actions.add(kind=MULTI, choices=[3, 2])
    return spec


def test_every_kind_of_part_becomes_gymnasiums_space():
    spec = read_spec(mixed(), 64 * MIB)
    assert spec.rows == 6
    low, high = np.full((2, 3), -1, np.float32), np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    expected = {
        "rays": spaces.Box(low, high, dtype=np.float32),
        "view": spaces.Box(0, 255, (4, 4, 3), np.uint8),
        "door": spaces.Discrete(4),
        "keys": spaces.MultiDiscrete([3, 2]),
        "lamps": spaces.MultiBinary(5),
    }
    assert spec.observation_space == spaces.Dict(expected)
    assert spec.action_space == spaces.MultiDiscrete([3, 2])


def test_one_part_without_a_name_is_a_space_by_itself_and_no_bounds_are_infinities():
    spec = read_spec(box_spec(), MIB)
    assert spec.observation_space == spaces.Box(-np.inf, np.inf, (3,), np.float32)
    assert spec.action_space == spaces.Discrete(2)


def test_an_offer_survives_a_checkpoint():
    spec = read_spec(mixed(), MIB)
    check_same(spec, spec_from_json(spec.to_json(), MIB), same_rows=True)


def bad(**changes):
    """Return an offer with something changed, by path."""
    spec = box_spec()
    for path, value in changes.items():
        target, _, name = path.rpartition("__")
        place = {"": spec, "observation": spec.observations[0], "action": spec.actions[0]}[target]
        if isinstance(value, list):
            del getattr(place, name)[:]
            getattr(place, name).extend(value)
        else:
            setattr(place, name, value)
    return spec


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        (bad(environments=0), "spec.environments", "at least 1"),
        (bad(environments=2**32 - 1, agents=2**32 - 1), "spec.environments", "expected at most 65536"),
        (bad(name="x" * 129), "spec.name", "129 characters"),
        (pb.EnvironmentSpec(environments=1), "spec.observations", "there are 0, expected 1 to 64"),
        (bad(observation__shape=[2**62, 2**62]), "spec.observations[0].shape", "at most 8 axes"),
        (bad(observation__shape=[1] * 9), "spec.observations[0].shape", "at most 8 axes"),
        (bad(observation__shape=[0]), "spec.observations[0].shape", "axes of at least 1"),
        (bad(observation__shape=[-3]), "spec.observations[0].shape", "axes of at least 1"),
        (bad(observation__shape=[MAX_ELEMENTS]), "spec", "offer less"),
        (bad(observation__kind=9), "spec.observations[0].kind", "SpaceKind"),
        (bad(observation__kind=0), "spec.observations[0].kind", "SpaceKind"),
        (bad(observation__dtype=tensor_pb2.DATA_TYPE_BOOL), "spec.observations[0].dtype", "DataType of numbers"),
        (bad(observation__dtype=77), "spec.observations[0].dtype", "DataType of numbers"),
        (bad(observation__low=[0.0, 1.0]), "spec.observations[0].low", "expected 0, 1 or 3"),
        (bad(observation__low=[float("nan")]), "spec.observations[0].low", "NaN"),
        (bad(observation__low=[2.0], observation__high=[1.0]), "spec.observations[0].low", "above the largest"),
        (bad(observation__choices=[2]), "spec.observations[0].choices", "no choices"),
        (
            bad(observation__dtype=tensor_pb2.DATA_TYPE_UINT8, observation__low=[-1.0]),
            "spec.observations[0].low",
            "beyond uint8",
        ),
        (bad(observation__name="action_mask"), "spec.observations", "as an input or output of every policy"),
        (bad(action__choices=[]), "spec.actions[0].choices", "expected 1"),
        (bad(action__choices=[0]), "spec.actions[0].choices", "at least 1"),
        (bad(action__choices=[2**40]), "spec.actions[0].choices", "at most 65536"),
        (bad(action__low=[0.0]), "spec.actions[0].low", "only a Box has bounds"),
        (bad(action__dtype=tensor_pb2.DATA_TYPE_FLOAT32), "spec.actions[0].dtype", "DATA_TYPE_INT64"),
        (bad(mask_width=3), "spec.mask_width", "expected 2"),
    ],
)
def test_an_offer_that_is_none_is_refused_with_its_field(spec, field, says):
    with pytest.raises(InvalidArgument, match=says) as caught:
        read_spec(spec, 8 * MIB)
    assert caught.value.field == field


def test_two_parts_need_two_names():
    spec = box_spec()
    spec.observations.add(kind=BOX, shape=[1])
    with pytest.raises(InvalidArgument, match="a name of its own"):
        read_spec(spec, MIB)


def test_a_mask_needs_choices():
    spec = bad(mask_width=2, action__kind=BOX, action__choices=[], action__shape=[2])
    with pytest.raises(InvalidArgument) as caught:
        read_spec(spec, MIB)
    assert caught.value.field == "spec.mask_width"


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (box_spec(shape=(4,)), "spec.observations[0].shape"),
        (box_spec(choices=3), "spec.actions[0].choices"),
        (box_spec(mask_width=2), "spec.mask_width"),
        (box_spec(rows=3), "spec.environments"),
        (bad(observation__low=[0.0]), "spec.observations[0].low"),
    ],
)
def test_another_offer_than_that_of_the_beginning_is_refused_by_its_first_difference(other, field):
    with pytest.raises(FailedPrecondition, match="which the training was begun with") as caught:
        check_same(read_spec(box_spec(), MIB), read_spec(other, MIB), same_rows=True)
    assert caught.value.field == field


numbers = st.one_of(st.integers(-3, 40), st.sampled_from([2**31, 2**62, -(2**63)]))
parts = st.builds(
    pb.SpaceSpec,
    name=st.sampled_from(["", "a", "b", "noise"]),
    kind=st.integers(0, 5),
    dtype=st.integers(0, 12),
    shape=st.lists(numbers, max_size=10),
    low=st.lists(st.floats(), max_size=4),
    high=st.lists(st.floats(), max_size=4),
    choices=st.lists(numbers, max_size=4),
)
offers = st.builds(
    pb.EnvironmentSpec,
    environments=st.one_of(st.integers(0, 5), st.just(2**32 - 1)),
    agents=st.one_of(st.integers(0, 3), st.just(2**32 - 1)),
    observations=st.lists(parts, max_size=3),
    actions=st.lists(parts, max_size=3),
    mask_width=st.integers(0, 9),
)


@given(offers)
def test_any_offer_is_read_within_its_limits_or_refused(offer):
    spec, problem = None, None
    try:
        spec = read_spec(offer, MIB)
    except ServiceError as error:
        problem = error
    if spec is None:
        assert isinstance(problem, InvalidArgument)
        assert problem.field.startswith("spec")
        return
    size = spec.rows * sum(part.row_bytes for part in (*spec.observations, *spec.actions))
    assert size <= MIB
    assert len(spec.observation_space.sample()) if isinstance(spec.observation_space, spaces.Dict) else True
    check_same(spec, spec_from_json(spec.to_json(), MIB), same_rows=True)


SPEC = read_spec(box_spec(rows=3, mask_width=2), MIB)


def report(**changes) -> pb.EnvironmentReport:
    """Return a step's report of three rows, of which the last one ended."""
    fields = {
        "observations": tensors.from_arrays({"observation": np.arange(9, dtype=np.float32).reshape(3, 3)}),
        "rewards": [1.0, 2.0, 3.0],
        "terminated": [False, False, True],
        "truncated": [False, False, False],
        "final_observations": tensors.from_arrays({"observation": np.full((1, 3), 7, np.float32)}),
        "action_mask": tensors.from_array(np.ones((3, 2), bool)),
    }
    return pb.EnvironmentReport(kind=pb.REPORT_KIND_DONE, **fields | changes)


def test_a_report_is_read_as_the_engine_means_it():
    seen = read_report(report(), SPEC, is_step=True)
    assert seen.rewards.tolist() == [1.0, 2.0, 3.0]
    assert seen.ended.tolist() == [False, False, True]
    assert seen.final["observation"][2].tolist() == [7, 7, 7]
    assert seen.observations["observation"][2].tolist() == [6, 7, 8]
    assert not seen.failures


def named(array, name="observation"):
    return tensors.from_arrays({name: array})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"observations": []}, "report.observations"),
        ({"observations": named(np.zeros((2, 3), np.float32))}, "report.observations[0].tensor.shape"),
        ({"observations": named(np.zeros((3, 3)))}, "report.observations[0].tensor.dtype"),
        ({"observations": named(np.zeros((3, 3), np.float32), "eyes")}, "report.observations[0].name"),
        ({"rewards": [1.0]}, "report.rewards"),
        ({"terminated": []}, "report.terminated"),
        ({"truncated": [True] * 4}, "report.truncated"),
        ({"final_observations": []}, "report.final_observations"),
        ({"final_observations": named(np.zeros((2, 3), np.float32))}, "report.final_observations[0].tensor.shape"),
        ({"terminated": [False] * 3}, "report.final_observations"),
        ({"action_mask": None}, "report.action_mask.dtype"),
        ({"action_mask": tensors.from_array(np.ones((3, 3), bool))}, "report.action_mask.shape"),
        ({"infos": named(np.zeros((2,)), "a")}, "report.infos[0].tensor.shape"),
        ({"infos": named(np.zeros((3, 65)), "a")}, "report.infos[0].tensor.shape"),
        ({"infos": [*named(np.zeros(3), "a"), *named(np.zeros(3), "a")]}, "report.infos[1].name"),
        ({"infos": [each for i in range(33) for each in named(np.zeros(3), f"{i}")]}, "report.infos"),
    ],
)
def test_a_report_of_another_structure_is_refused_with_its_field(changes, field):
    with pytest.raises(InvalidArgument) as caught:
        read_report(report(**changes), SPEC, is_step=True)
    assert caught.value.field == field


NAN = np.float32("nan")


@pytest.mark.parametrize(
    ("changes", "row", "field", "says"),
    [
        (
            {"observations": named(np.array([[0, 0, 0], [0, NAN, 0], [0, 0, 0]], np.float32))},
            1,
            "report.observations[0].tensor",
            "NaN",
        ),
        (
            {"observations": named(np.array([[0, 0, np.inf]] + [[0] * 3] * 2, np.float32))},
            0,
            "report.observations[0].tensor",
            "NaN",
        ),
        ({"final_observations": named(np.full((1, 3), NAN))}, 2, "report.final_observations[0].tensor", "final observation"),
        ({"rewards": [1.0, float("inf"), 0.0]}, 1, "report.rewards", "reward"),
        ({"action_mask": tensors.from_array(np.array([[1, 1], [1, 1], [0, 0]], bool))}, 2, "report.action_mask", "forbids all"),
    ],
)
def test_a_bad_value_fails_its_row_alone(changes, row, field, says):
    seen = read_report(report(**changes), SPEC, is_step=True)
    assert list(seen.failures) == [row]
    failure = seen.failures[row]
    assert failure.field == field
    assert f"row {row}" in failure.message
    assert says in failure.message


@pytest.mark.parametrize("values", [[[-1], [0], [0]], [[0], [4], [0]]])
def test_choices_that_do_not_exist_fail_their_row(values):
    spec = pb.EnvironmentSpec(environments=3)
    spec.observations.add(kind=MULTI, choices=[4])
    spec.actions.add(kind=BITS, shape=[2])
    given = pb.EnvironmentReport(observations=named(np.array(values, np.int64)))
    seen = read_report(given, read_spec(spec, MIB), is_step=False)
    assert list(seen.failures) == [int(np.flatnonzero(np.array(values).ravel())[0])]


given_tensors = st.builds(
    tensor_pb2.NamedTensor,
    name=st.sampled_from(["observation", "", "x"]),
    tensor=st.builds(
        tensor_pb2.Tensor,
        dtype=st.integers(0, 11),
        shape=st.lists(st.integers(-1, 4), max_size=3),
        data=st.binary(max_size=48),
    ),
)
given_reports = st.builds(
    pb.EnvironmentReport,
    observations=st.lists(given_tensors, max_size=2),
    final_observations=st.lists(given_tensors, max_size=2),
    infos=st.lists(given_tensors, max_size=2),
    rewards=st.lists(st.floats(width=32), max_size=4),
    terminated=st.lists(st.booleans(), max_size=4),
    truncated=st.lists(st.booleans(), max_size=4),
)


@given(given_reports, st.booleans())
def test_any_report_is_read_or_refused_with_a_field(given_report, is_step):
    seen, problem = None, None
    try:
        seen = read_report(given_report, SPEC, is_step=is_step)
    except InvalidArgument as error:
        problem = error
    assert (seen is None) != (problem is None)
    assert seen is not None or problem.field.startswith("report.")


@given(
    st.binary(min_size=36, max_size=36),
    st.lists(st.floats(width=32), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_rows_that_do_not_fail_are_usable(data, rewards, flags):
    given_report = report(rewards=rewards, terminated=flags[:3], truncated=flags[3:])
    given_report.observations[0].tensor.data = data
    ended = sum(a or b for a, b in zip(flags[:3], flags[3:], strict=True))
    del given_report.final_observations[:]
    if ended:
        given_report.final_observations.extend(named(np.zeros((ended, 3), np.float32)))
    seen = read_report(given_report, SPEC, is_step=True)
    good = [row for row in range(3) if row not in seen.failures]
    assert np.isfinite(seen.observations["observation"][good]).all()
    assert np.isfinite(seen.rewards[good]).all()
    for row in seen.failures:
        assert not (np.isfinite(seen.observations["observation"][row]).all() and np.isfinite(seen.rewards[row]))
