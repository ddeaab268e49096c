"""Settings of a model: the command line goes before the card, the card before the family, and what holds reaches the queue."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import tiny_models
from conftest import sidecar_in_thread

from bridge.bundle_loader import LoadOptions, load_bundle
from bridge.model_card import Serving
from bridge.services import family_modules, npc
from bridge.serving_settings import ServingSettings, parse_overrides, resolve

OVERRIDE, COMMAND, CARD = (
    Serving(max_batch=3, instances=5),
    Serving(max_batch=4, threads=0),
    Serving(max_batch=7, queue_capacity=9),
)


@pytest.mark.parametrize(
    ("layers", "max_batch"),
    [
        ((OVERRIDE, COMMAND, CARD), 3),
        ((None, COMMAND, CARD), 4),
        ((None, Serving(), CARD), 7),
        ((None, Serving(), Serving()), 4096),
    ],
)
def test_a_setting_comes_from_the_first_place_that_has_it(layers, max_batch):
    assert resolve(*layers, npc).max_batch == max_batch


def test_places_are_asked_setting_by_setting_and_an_explicit_0_is_a_setting():
    assert resolve(OVERRIDE, COMMAND, CARD, npc) == ServingSettings(
        max_batch=3, max_wait_s=0.0, queue_capacity=9, instances=5, threads=0
    )
    assert resolve(None, Serving(), Serving(), npc).threads == 1


def test_overrides_are_read_by_model_and_setting():
    read = parse_overrides(["guard.max_batch=64", "guard.max_wait_ms=2.5", "a.b.instances=2"])
    assert read == {"guard": Serving(max_batch=64, max_wait_ms=2.5), "a.b": Serving(instances=2)}


@pytest.mark.parametrize(
    ("serving", "text"),
    [
        ({"max_batch": 0}, r"Expected `int` >= 1 - at `\$.serving.max_batch`"),
        ({"max_wait_ms": -1}, r"Expected `float` >= 0"),
        ({"instances": 65}, r"Expected `int` <= 64"),
        ({"patience": 1}, r"unknown field `patience`"),
    ],
)
def test_a_card_with_settings_out_of_range_is_refused(tmp_path, serving, text):
    folder = tiny_models.write_npc(tmp_path)
    write_serving(folder, serving)
    options = LoadOptions(providers=["CPUExecutionProvider"], strict=False, executor=ThreadPoolExecutor(1))
    assert re.search(text, load_bundle(folder, family_modules(), options).reason)


def test_the_cards_settings_and_the_command_lines_reach_queue_and_session(tmp_path):
    for name in ("guard", "archer"):
        write_serving(
            tiny_models.write_npc(tmp_path, name), {"max_batch": 32, "max_wait_ms": 1.5, "instances": 2, "threads": 2}
        )
    with sidecar_in_thread(tmp_path, queue_capacity=11, model_settings=("archer.max_batch=5", "archer.threads=3")) as sidecar:
        guard, archer = (sidecar.registry.served[name, 1].batchers["policy"] for name in ("guard", "archer"))
    limits = guard._limits
    assert (limits.max_batch, limits.max_wait_s, limits.capacity, limits.instances) == (32, 0.0015, 11, 2)
    assert (archer._limits.max_batch, archer._limits.instances) == (5, 2)
    threads = [batcher._session._session.get_session_options().intra_op_num_threads for batcher in (guard, archer)]
    assert threads == [2, 3]


def write_serving(folder, serving):
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"serving": serving}))
