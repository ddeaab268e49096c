"""Camera paths: all tiles that come into view, once, in the order of coming into view."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ResourceExhausted
from bridge.scene_path import tiles_along
from bridge.scene_request import MAX_COORDINATE

PLACES = st.integers(-48, 48).map(lambda eighths: eighths / 8)
POINTS = st.lists(st.tuples(PLACES, PLACES), min_size=1, max_size=4)
VIEWS = st.integers(0, 16).map(lambda eighths: eighths / 8)


def apart(place, point):
    """Return the distance from a point to a tile."""
    return math.hypot(*(max(first - at, at - first - 1, 0.0) for first, at in zip(place, point, strict=True)))


@given(POINTS, VIEWS)
def test_every_tile_in_view_of_a_point_is_there_once(points, view):
    found = tiles_along(points, view, 1000)
    assert len(found) == len(set(found))
    for x, y in points:
        for place in [(i, j) for i in range(-9, 9) for j in range(-9, 9)]:
            if apart(place, (x, y)) < view - 1e-9:
                assert place in found
    assert (math.floor(points[0][0]), math.floor(points[0][1])) in found


@given(st.tuples(PLACES, PLACES), VIEWS)
def test_from_one_point_the_nearest_come_first(point, view):
    distances = [apart(place, point) for place in tiles_along([point], view, 1000)]
    assert distances == sorted(distances)
    assert all(distance <= view + 1e-9 for distance in distances)


def test_a_path_passes_over_its_tiles_in_order():
    assert tiles_along([(0.5, 0.5), (4.5, 0.5)], 0.0, 9) == [(x, 0) for x in range(5)]


def test_too_many_tiles_are_refused():
    with pytest.raises(ResourceExhausted, match="expected at most 4"):
        tiles_along([(0.5, 0.5), (4.5, 0.5)], 0.0, 4)


@pytest.mark.parametrize("end", [MAX_COORDINATE, -MAX_COORDINATE])
def test_a_path_goes_to_the_last_tile_and_sees_nothing_beyond(end):
    inwards = -1 if end > 0 else 1
    found = tiles_along([(end + 1.5 * inwards, 0.5), (float(end), 0.5)], 1.25, 100)
    columns = {x for x, _ in found}
    assert end in columns
    assert max(abs(x) for x in columns) == MAX_COORDINATE
    assert {y for _, y in found} == {-1, 0, 1}
