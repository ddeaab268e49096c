"""The registry: good bundles serve, bad ones are refused with a reason, and neither disturbs the other."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import tiny_models

from bridge.bundle_loader import LoadOptions, load_bundle
from bridge.config import Limits
from bridge.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from bridge.game_sessions import GameSessions, KeptLimits
from bridge.registry import Registry
from bridge.reloader import Reloader
from bridge.services import family_modules
from bridge.services import model as model_service
from bridge.v1 import model_service_pb2 as pb


def load(models):
    with ThreadPoolExecutor(1) as executor:
        options = LoadOptions(providers=["CPUExecutionProvider"], strict=False, executor=executor)
        reloader = Reloader(Registry(), models, lambda folder: load_bundle(folder, family_modules(), options))
        asyncio.run(reloader.start())
    return reloader.registry


def edit(folder, change):
    path = folder / "card.json"
    data = json.loads(path.read_bytes())
    change(data)
    path.write_text(json.dumps(data), "utf-8")


def select(registry, name, version=0, family="npc"):
    return registry.find(pb.ModelSelector(name=name, version=version), family, "model")


def listed(registry):
    service = model_service.Service(registry, Limits(), GameSessions(KeptLimits()))
    return {(m.name, m.version): m for m in asyncio.run(service.ListModels(pb.ListModelsRequest())).models}


def reason(models, name="guard", version=1):
    """Return why a bundle is refused, having checked that the good bundle beside it serves."""
    if not (models / "good").exists():
        tiny_models.write_npc(models, "good")
    registry = load(models)
    assert select(registry, "good").card.version == 1
    model = listed(registry)[name, version]
    assert model.state == pb.MODEL_STATE_FAILED
    assert not model.provider
    with pytest.raises(FailedPrecondition) as caught:
        select(registry, name, version)
    assert caught.value.message == f'"{name}" version {version} is refused: {model.reason}'
    assert caught.value.field == "model"
    return model.reason


def test_the_latest_version_that_serves_is_taken(tmp_path):
    for version in (1, 2, 10):
        tiny_models.write_npc(tmp_path, version=version)
    (tmp_path / "guard/10/policy.onnx").write_bytes(b"")
    registry = load(tmp_path)
    assert select(registry, "guard").card.version == 2
    assert select(registry, "guard", 1).card.version == 1
    with pytest.raises(FailedPrecondition, match="version 10 is refused"):
        select(registry, "guard", 10)


@pytest.mark.parametrize(
    ("name", "version", "kind", "field", "message"),
    [
        ("", 0, InvalidArgument, "model.name", "is empty"),
        ("toon", 0, NotFound, "model.name", r"there is no model \"toon\", there are \['face', 'guard'\]"),
        ("guard", 9, NotFound, "model.version", r"\"guard\" has versions \[1, 2\], not 9"),
        ("guard", 2**32 - 1, NotFound, "model.version", "not 4294967295"),
        ("face", 0, InvalidArgument, "model.name", '"face" is of family avatar, expected npc'),
        ("../guard", 0, NotFound, "model.name", "there is no model"),
        ("guard/1", 0, NotFound, "model.name", "there is no model"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(tmp_path, name, version, kind, field, message):
    tiny_models.write_avatar(tmp_path)
    for number in (1, 2):
        tiny_models.write_npc(tmp_path, version=number)
    with pytest.raises(kind, match=message) as caught:
        select(load(tmp_path), name, version)
    assert caught.value.field == field


def test_nothing_is_found_before_everything_is_loaded():
    with pytest.raises(Unavailable, match="still loads") as caught:
        select(Registry(), "guard")
    assert caught.value.retry_s


def test_an_empty_folder_loads(tmp_path):
    assert listed(load(tmp_path)) == {}


def test_folders_that_are_being_written_and_stray_files_are_passed_over(tmp_path):
    folder = tiny_models.write_npc(tmp_path)
    shutil.copytree(folder, tmp_path / "guard/.2.writing")
    shutil.copytree(folder.parent, tmp_path / ".hidden")
    shutil.copytree(folder, tmp_path / "guard/latest")
    shutil.copytree(folder, tmp_path / "guard/01")
    (tmp_path / "README").write_text("models")
    (tmp_path / "guard/3").write_text("a file")
    assert set(listed(load(tmp_path))) == {("guard", 1)}


def test_a_bundle_without_a_card_is_refused(tmp_path):
    (tiny_models.write_npc(tmp_path) / "card.json").unlink()
    assert "no such file; a bundle holds a card" in reason(tmp_path)


def test_a_bundle_in_another_bundles_place_is_refused(tmp_path):
    shutil.copytree(tiny_models.write_npc(tmp_path / "elsewhere", "merchant"), tmp_path / "guard/1")
    assert "is of merchant 1, but lies in" in reason(tmp_path)


def change(field, value):
    return lambda data: data.__setitem__(field, value)


def spec(**values):
    return lambda data: data["spec"].update(values)


def neutral(action, values):
    return lambda data: data["spec"]["actions"][action].update(neutral=values)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (change("family", "speech"), 'family is "speech", this sidecar serves'),
        (change("family", "avatar"), "family avatar has"),
        (change("schema_version", 2), "schema_version is 2"),
        (change("spec", {}), "missing required field `observations`"),
        (spec(colour="red"), "unknown field `colour`"),
        (spec(mask_size=4), "graph inputs are"),
        (spec(noise=[]), "graph inputs are"),
        (spec(noise=[{"kind": "cauchy", "size": 7}]), "Invalid enum value 'cauchy'"),
        (spec(observations=[{"name": "place", "shape": [3]}]), "graph inputs are"),
        (spec(actions=[]), "no observation or no action"),
        (lambda d: d["spec"]["actions"][0].update(low=[0.0]), r'action "move" of size 2 has ranges of lengths \[1, 2\]'),
        (lambda d: d["spec"]["actions"][1].update(branches=[3, 3]), "mask_size is 5, expected 0 or 6"),
        (lambda d: d["spec"]["actions"][1].update(branches=[5, 0]), "expected sizes of at least 1"),
        (
            lambda d: d["spec"]["actions"][1].update(kind="continuous", low=[0, 0], high=[1, 1]),
            r"has branches \[3, 2\], expected sizes of at least 1 if discrete",
        ),
        (neutral(0, [1.0]), 'action "move" has 1 numbers in neutral, expected 0 or 2'),
        (neutral(0, [0.0, 0.25]), r'action "move" is neutral at \[0.0, 0.25\], expected numbers within low and high'),
        (neutral(1, [3, 0]), r'action "act" is neutral at \[3.0, 0.0\], expected a choice of each of \[3, 2\]'),
        (neutral(1, [0.5, 0]), "expected a choice of each of"),
        (neutral(1, [-1, 0]), "expected a choice of each of"),
        (lambda d: d["graphs"][0].update(sha256="0" * 64), "the card says 0000"),
        (lambda d: d["graphs"][0]["inputs"].reverse() or d["graphs"][0]["inputs"].pop(), "graph inputs are"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(tmp_path, changed, message):
    edit(tiny_models.write_npc(tmp_path), changed)
    assert re.search(message, reason(tmp_path))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (spec(image_size=16), "outputs of graph synthesis are"),
        (spec(image_size=12), "image_size is 12, expected a power of two"),
        (spec(latent_size=5), "inputs of graph mapping are"),
        (spec(num_layers=3), "outputs of graph mapping are"),
        (spec(default_truncation=3.0), "default_truncation is 3.0"),
        (lambda d: d["graphs"][1].update(outputs=[]), "inputs or outputs"),
        (lambda d: d["graphs"][1]["outputs"][0].update(name="picture"), "outputs of graph synthesis are"),
        (lambda d: d["graphs"][0]["inputs"][0].update(dtype="float16"), "inputs of graph mapping are"),
        (spec(image_channels=4), "outputs of graph synthesis are"),
        (spec(image_channels=1), r"image_channels is 1, expected 3 \(RGB\) or 4 \(RGBA\)"),
        (spec(projection_steps=9), "projection_steps is 9, expected 0 to 8"),
        (spec(projection_steps=1), r"expected \['mapping', 'synthesis', 'encoder'\] for 0 controls and 1 projection steps"),
        (spec(control_names=[]), "unknown field `control_names`"),
        (lambda d: d["graphs"].reverse(), r"graphs are \['synthesis', 'mapping'\], family avatar has"),
        (lambda d: d["graphs"].pop(), r"graphs are \['mapping'\], family avatar has"),
    ],
)
def test_an_avatar_card_that_contradicts_itself_is_refused(tmp_path, changed, message):
    edit(tiny_models.write_avatar(tmp_path), changed)
    assert re.search(message, reason(tmp_path, "face"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (spec(controls=[]), r"expected \['mapping', 'synthesis', 'encoder'\] for 0 controls and 3 projection steps"),
        (spec(projection_steps=0), r"expected \['mapping', 'synthesis', 'control'\] for 2 controls and 0 projection steps"),
        (lambda d: d["spec"]["controls"].pop(), "inputs of graph control are"),
        (lambda d: d["graphs"][3]["inputs"].pop(), "inputs of graph encoder are"),
        (lambda d: d["graphs"][2].update(name="extra", file="extra.onnx"), r"'control \(optional\)', 'encoder \(optional\)'"),
        (lambda d: d["graphs"].append(d["graphs"].pop(2)), r"graphs are \['mapping', 'synthesis', 'encoder', 'control'\]"),
        (lambda d: d["spec"]["controls"][0].update(name="hair"), r"controls are \['hair', 'hair'\], expected different names"),
        (lambda d: d["spec"]["controls"][0].update(low=0.1), 'control "glasses" goes from 0.1 to 1.0, expected a range with 0'),
        (lambda d: d["spec"]["controls"][0].update(low=0, high=0), "goes from 0.0 to 0.0"),
    ],
)
def test_an_avatar_card_with_other_controls_or_another_encoder_than_its_graphs_is_refused(tmp_path, changed, message):
    edit(tiny_models.write_portrait(tmp_path), changed)
    assert re.search(message, reason(tmp_path, "portrait"))


def test_a_card_nested_beyond_measure_is_refused(tmp_path):
    path = tiny_models.write_npc(tmp_path) / "card.json"
    path.write_text('{"schema_version": 1, "spec": ' + "[" * 50_000)
    assert "recursion" in reason(tmp_path)


def test_a_damaged_graph_is_refused(tmp_path):
    path = tiny_models.write_npc(tmp_path) / "policy.onnx"
    path.write_bytes(path.read_bytes()[:100])
    assert "the file is damaged or exchanged" in reason(tmp_path)


def test_whatever_else_a_bundle_does_the_others_serve(tmp_path, monkeypatch):
    tiny_models.write_npc(tmp_path)
    tiny_models.write_npc(tmp_path, "good")
    npc = family_modules()["npc"]
    check = npc.Spec.check

    def breaks(spec, card):
        if card.name == "guard":
            raise KeyError("surprise")
        check(spec, card)

    monkeypatch.setattr(npc.Spec, "check", breaks)
    assert reason(tmp_path) == "KeyError: 'surprise'; export it again"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file names beyond UTF-8")
def test_a_folder_whose_name_is_no_utf8_is_listed_and_disturbs_nobody(tmp_path):
    tiny_models.write_npc(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9") / "1").mkdir(parents=True)
    models = listed(load(tmp_path))
    assert models["guard", 1].state == pb.MODEL_STATE_SERVING
    assert models["caf\\udce9", 1].state == pb.MODEL_STATE_FAILED


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
def test_a_card_that_may_not_be_read_is_refused(tmp_path):
    path = tiny_models.write_npc(tmp_path) / "card.json"
    path.chmod(0)
    assert "Permission denied" in reason(tmp_path)


def test_a_card_is_given_as_it_stands_in_the_bundle_with_its_graphs(tmp_path):
    folder = tiny_models.write_npc(tmp_path)
    registry = load(tmp_path)
    service = model_service.Service(registry, Limits(), GameSessions(KeptLimits()))
    answer = asyncio.run(service.GetModel(pb.GetModelRequest(model=pb.ModelSelector(name="guard"))))
    assert answer.card_json == (folder / "card.json").read_text("utf-8")
    (graph,) = answer.graphs
    assert {tensor.name: list(tensor.shape) for tensor in graph.inputs} == {
        "position": [-1, 3],
        "noise": [-1, 7],
        "action_mask": [-1, 5],
    }
    assert graph.sha256 == json.loads(answer.card_json)["graphs"][0]["sha256"]
    assert answer.model.provider == "CPUExecutionProvider"


def test_models_are_listed_by_name_version_and_family(tmp_path):
    for name, version in (("guard", 10), ("guard", 2), ("archer", 1)):
        tiny_models.write_npc(tmp_path, name, version)
    tiny_models.write_avatar(tmp_path)
    registry = load(tmp_path)
    assert list(listed(registry)) == [("archer", 1), ("face", 1), ("guard", 2), ("guard", 10)]
    service = model_service.Service(registry, Limits(), GameSessions(KeptLimits()))
    answer = asyncio.run(service.ListModels(pb.ListModelsRequest(family="avatar")))
    assert [model.name for model in answer.models] == ["face"]
