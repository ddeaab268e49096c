"""What a TIFF's tags say of its samples (GeoTIFF, OGC 19-008r4): how far apart they are, heights in metres, holes.

What cannot be right, or is in a unit that is not known, raises ValueError with the reason: no map is read at a wrong size.
"""

from __future__ import annotations

import math

PIXEL_SCALE, TRANSFORMATION, KEYS, DOUBLES, NO_DATA = 33550, 34264, 34735, 34736, 42113
MODEL_TYPE, ANGULAR_UNIT, ANGULAR_SIZE, LINEAR_UNIT, LINEAR_SIZE, VERTICAL_UNIT = 1024, 2054, 2055, 3076, 3077, 4099
UNDEFINED, PROJECTED, GEOGRAPHIC, USER_DEFINED = 0, 1, 2, 32767
METRE, DEGREE = 9001, 9102
METRES = {METRE: 1.0, 9002: 0.3048, 9003: 1200.0 / 3937.0, 9036: 1000.0}
"""Metre, international foot, US survey foot and kilometre by their EPSG numbers."""
DEGREES = {DEGREE: 1.0, 9122: 1.0, 9101: math.degrees(1.0), 9103: 1.0 / 60.0, 9104: 1.0 / 3600.0}
"""Degree (twice), radian, minute and second of arc by their EPSG numbers."""
METRES_PER_DEGREE = 111_320.0
SHEAR = 1e-3
"""Cosine of the angle between rows and columns up to which they count as square to each other."""

Tags = dict[int, object]


def metres_apart(tags: Tags) -> tuple[float, float] | None:
    """Metres between two rows and between two columns; None where no tag says it. Degrees count as along the meridian."""
    found = [apart for apart in (_by_scale(tags), _by_transformation(tags)) if apart]
    if not found:
        return None
    if len(found) == 2 and not all(math.isclose(*pair, rel_tol=1e-6) for pair in zip(*found, strict=True)):
        raise ValueError(
            f"rows and columns are {found[0]} apart by its pixel scale, {found[1]} by its model transformation; remove one tag"
        )
    unit = _horizontal_unit(_keys(tags))
    apart = (found[0][0] * unit, found[0][1] * unit)
    if not all(0.0 < metres < math.inf for metres in apart):
        raise ValueError(f"its samples are {apart[0]:g} x {apart[1]:g} metres apart; expected numbers above 0")
    return apart


def metres_of_height(tags: Tags) -> float:
    """Metres that a height of 1 stands for: by the vertical unit, 1 where there is none."""
    return _metres(int(_keys(tags).get(VERTICAL_UNIT, UNDEFINED)), "vertical")


def no_data(tags: Tags) -> float | None:
    """The number that stands for a missing height (a tag of GDAL's); None where there is none."""
    if NO_DATA not in tags:
        return None
    text = str(tags[NO_DATA]).strip("\0 ")
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f'its value for missing heights (tag {NO_DATA}) is "{text}"; expected a number; mend or remove the tag'
        ) from None


def _by_scale(tags: Tags) -> tuple[float, float] | None:
    """Rows and columns by the pixel scale, which has the columns first."""
    if PIXEL_SCALE not in tags:
        return None
    scale = _numbers(tags, PIXEL_SCALE)
    if len(scale) < 2 or not all(0.0 < value < math.inf for value in scale[:2]):
        raise ValueError(f"its pixel scale (tag {PIXEL_SCALE}) is {_shown(scale)}; expected two or three numbers above 0")
    return scale[1], scale[0]


def _by_transformation(tags: Tags) -> tuple[float, float] | None:
    """Rows and columns by the 4 x 4 matrix from column and row to coordinates, which may turn and mirror the map."""
    if TRANSFORMATION not in tags:
        return None
    matrix = _numbers(tags, TRANSFORMATION)
    if len(matrix) != 16 or not all(map(math.isfinite, matrix)):
        raise ValueError(f"its model transformation (tag {TRANSFORMATION}) is {_shown(matrix)}; expected 16 finite numbers")
    (a, b), (c, d) = matrix[:2], matrix[4:6]
    rows, columns = math.hypot(b, d), math.hypot(a, c)
    if not rows or not columns or abs(a / columns * (b / rows) + c / columns * (d / rows)) > SHEAR:
        raise ValueError(
            f"its model transformation (tag {TRANSFORMATION}) has the rows ({b:g}, {d:g}) and columns ({a:g}, {c:g}), "
            "which are not square to each other; warp it to a straight grid first"
        )
    return rows, columns


def _horizontal_unit(keys: dict[int, float]) -> float:
    """Metres that a coordinate's 1 stands for; metres where the keys name no unit."""
    kind = int(keys.get(MODEL_TYPE, UNDEFINED))
    if kind == GEOGRAPHIC:
        unit = int(keys.get(ANGULAR_UNIT, DEGREE)) or DEGREE
        if unit == USER_DEFINED and ANGULAR_SIZE in keys:
            return math.degrees(keys[ANGULAR_SIZE]) * METRES_PER_DEGREE
        if unit not in DEGREES:
            raise ValueError(f"its angular unit is {unit}; known are {_listed(DEGREES)}; reproject it to metres")
        return DEGREES[unit] * METRES_PER_DEGREE
    if kind not in (UNDEFINED, PROJECTED, USER_DEFINED):
        raise ValueError(
            f"its model type is {kind}; known are {PROJECTED} (projected) and {GEOGRAPHIC} (degrees); reproject it"
        )
    unit = int(keys.get(LINEAR_UNIT, UNDEFINED))
    return keys[LINEAR_SIZE] if unit == USER_DEFINED and LINEAR_SIZE in keys else _metres(unit, "linear")


def _metres(unit: int, kind: str) -> float:
    """Metres of a linear unit, 1 for none."""
    if (unit or METRE) not in METRES:
        raise ValueError(f"its {kind} unit is {unit}; known are {_listed(METRES)}; convert it to metres")
    return METRES[unit or METRE]


def _keys(tags: Tags) -> dict[int, float]:
    """The GeoKeys that are numbers: short ones stand in the directory, doubles in a tag of their own."""
    if KEYS not in tags:
        return {}
    numbers, doubles = _numbers(tags, KEYS), _numbers(tags, DOUBLES) if DOUBLES in tags else ()
    if not all(map(math.isfinite, numbers + doubles)):
        raise ValueError(f"its GeoKeys (tags {KEYS} and {DOUBLES}) have numbers that are not finite; mend or remove the tags")
    directory = [int(value) for value in numbers]
    if len(directory) < 4 or len(directory) < 4 + 4 * directory[3]:
        raise ValueError(f"its GeoKey directory (tag {KEYS}) is cut short: {len(directory)} numbers; mend or remove the tag")
    found: dict[int, float] = {}
    for at in range(4, 4 + 4 * directory[3], 4):
        key, place, _, value = directory[at : at + 4]
        if place == 0:
            found[key] = value
        elif place == DOUBLES:
            if not 0 <= value < len(doubles):
                raise ValueError(f"its GeoKey {key} is number {value} of {len(doubles)} doubles (tag {DOUBLES}); mend the tags")
            found[key] = doubles[value]
    return found


def _numbers(tags: Tags, code: int) -> tuple[float, ...]:
    value = tags[code]
    try:
        return tuple(float(part) for part in value) if isinstance(value, tuple) else (float(str(value)),)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"its tag {code} is {str(value)[:40]!r}; expected numbers") from None


def _listed(units: dict[int, float]) -> str:
    return ", ".join(map(str, sorted(units)))


def _shown(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in values) or "empty"
