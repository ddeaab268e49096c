"""Rules of the cache: what differs is kept apart, what is whole is read, what is damaged is made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.avatar import data, dicebear_faces, picture_cache
from export.avatar.picture_cache import DamagedCache, Prepared, cached, key_of


def prepared(fill: int = 7) -> Prepared:
    images = np.full((3, 4, 8, 8), fill, np.uint8)
    return Prepared(images, [{"hair": "short"}, {}, {"hair": "long"}], [("a.png", "the file is empty")])


def same(first: Prepared, second: Prepared) -> bool:
    return np.array_equal(first.images, second.images) and (first.labels, first.left_out) == (second.labels, second.left_out)


def test_what_was_made_is_read_the_second_time(tmp_path: Path) -> None:
    assert same(cached(tmp_path / "a" / "b", prepared), prepared())
    assert same(cached(tmp_path / "a" / "b", lambda: pytest.fail("made again")), prepared())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)


def swap_labels(path: Path) -> None:
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(record | {"labels": record["labels"][:2]}), "utf-8")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("images.npy", cut),
        ("images.npy", flip),
        ("images.npy", Path.unlink),
        ("images.npy", lambda path: path.write_bytes(b"")),
        ("images.npy", lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True)),
        ("record.json", cut),
        ("record.json", swap_labels),
        ("record.json", Path.unlink),
        ("record.json", lambda path: path.write_text("[]")),
        ("record.json", lambda path: path.write_bytes(b"\xff\x00")),
    ],
)
def test_a_damaged_cache_is_noticed_and_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: Callable[[Path], object]
) -> None:
    cached(tmp_path / "a", prepared)
    damage(tmp_path / "a" / name)
    with pytest.raises(DamagedCache, match='/a"'):
        picture_cache.read(tmp_path / "a")
    assert same(cached(tmp_path / "a", lambda: prepared(9)), prepared(9))
    assert "making the pictures again" in capsys.readouterr().out
    assert same(picture_cache.read(tmp_path / "a"), prepared(9))


def test_an_interrupted_writer_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path / "a", prepared)
    assert list(tmp_path.iterdir()) == []


def test_the_second_of_two_writers_keeps_what_the_first_wrote(tmp_path: Path) -> None:
    def make_while_another_finishes() -> Prepared:
        picture_cache.write(tmp_path / "a", prepared())
        return prepared()

    assert same(cached(tmp_path / "a", make_while_another_finishes), prepared())
    assert same(picture_cache.read(tmp_path / "a"), prepared())
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@given(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), min_size=1), st.data())
def test_a_key_changes_with_every_fact(facts: dict[str, int | str], draw: st.DataObject) -> None:
    name = draw.draw(st.sampled_from(sorted(facts)))
    assert key_of("a", facts | {name: f"{facts[name]}, but other"}) != key_of("a", facts)
    assert key_of("a", dict(reversed(facts.items()))) == key_of("a", facts)


def test_each_choice_that_changes_pictures_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base: dict[str, Any] = {"source": "pixel-art", "size": 32, "count": 2, "seed": 1, "pixel_size": 1, "split": "train"}
    others = [{"source": "toon-head"}, {"size": 64}, {"count": 3}, {"seed": 2}, {"pixel_size": 2}, {"split": "held-out"}]
    folders = [data.load(**(base | other), cache=tmp_path).folder for other in [{}, *others]]
    monkeypatch.setattr(dicebear_faces, "RENDERER", "another")
    folders.append(data.load(**base, cache=tmp_path).folder)
    monkeypatch.setattr(dicebear_faces, "versions", lambda: {"skia-python": "0"})
    folders.append(data.load(**base, cache=tmp_path).folder)
    assert len(set(folders)) == 9
    assert all((folder / "images.npy").is_file() for folder in folders)
