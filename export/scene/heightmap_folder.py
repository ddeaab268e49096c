"""The user's height maps: every file that can be read becomes a world; the others are named with the reason and skipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from export.scene.classes import CELLS
from export.scene.heightmap_file import PNG, RAW, TIFF, Reading, read
from export.scene.world import World

SUFFIXES = (*PNG, *RAW, *TIFF)
MASKS = (".ground.png", ".objects.png")
MINIMUM = 2
PART = 6
"""One world in so many is held out."""
GAP = 8
"""Cells between the training part and the held-out part of a single world."""

Reasons = list[tuple[str, str]]


@dataclass(frozen=True)
class Folder:
    """The worlds of a folder in the order of their paths, and the files left out."""

    worlds: list[World]
    left_out: Reasons


def read_all(path: Path, reading: Reading) -> Folder:
    """Reads every height map below a folder; raises ValueError where there is no folder or no height map in it."""
    if not path.is_dir():
        raise ValueError(f'"{path}" is not a folder; give one with height maps ({", ".join(SUFFIXES)})')
    files = sorted(
        file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and not file.name.lower().endswith(MASKS)
    )
    if not files:
        raise ValueError(f'"{path}" holds no height map; expected files ending in {", ".join(SUFFIXES)}')
    worlds: list[World] = []
    left_out: Reasons = []
    for file in tqdm(files, desc="reading height maps", unit="file"):
        try:
            worlds.append(read(file, reading))
        except (ValueError, OSError, MemoryError) as error:
            left_out.append((str(file.relative_to(path)), str(error) or type(error).__name__))
    for name, reason in left_out:
        tqdm.write(f"skipped {name}: {reason}")
    return Folder(worlds, left_out)


def split_of(worlds: list[World], split: str) -> list[World]:
    """The worlds of a split: by name the last sixth, at least one, is held out; a single world is cut in two.

    Raises ValueError where a single world is too narrow for that.
    """
    if len(worlds) == 1:
        return [_part_of(worlds[0], split)]
    held_out = max(1, len(worlds) // PART)
    return worlds[-held_out:] if split == "held-out" else worlds[:-held_out]


def check_minimum(path: Path, count: int, left_out: Reasons, minimum: int) -> None:
    """Raises ValueError when fewer height maps were read than are needed, with the reasons."""
    if count < max(minimum, 1):
        because = f" ({listed(left_out)})" if left_out else ""
        raise ValueError(
            f'"{path}" gave {count} of at least {max(minimum, 1)} height maps; {len(left_out)} were skipped{because}; '
            "add height maps or ask for a lower --minimum"
        )


def summary(count: int, left_out: Reasons) -> str:
    """One line such as "read 18, skipped 1: a.png (the file is empty)"."""
    return f"read {count}, skipped {len(left_out)}" + (f": {listed(left_out)}" if left_out else "")


def listed(left_out: Reasons, most: int = 10) -> str:
    """The first reasons in one line."""
    text = ", ".join(f"{name} ({reason})" for name, reason in left_out[:most])
    return text if len(left_out) <= most else f"{text}, and {len(left_out) - most} more"


def _part_of(world: World, split: str) -> World:
    """The western five sixths for training or the rest, of which a gap is left out."""
    rows, columns = world.cells
    border = min(columns - CELLS - GAP, columns - columns // PART - GAP)
    if border < CELLS:
        raise ValueError(
            f'the only height map "{world.name}" has {rows} x {columns} cells; to hold a part out it needs {2 * CELLS + GAP} '
            "columns; add another height map"
        )
    first, last = (0, border) if split == "train" else (border + GAP, columns)
    return World(
        world.name,
        world.height[:, first : last + 1],
        world.ground[:, first:last],
        world.objects[:, first:last],
    )
