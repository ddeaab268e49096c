"""Hot reload: new bundles are swapped in, broken ones leave in service what was, and removed ones drain."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny_models

from bridge.bundle_loader import LoadOptions, load_bundle
from bridge.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from bridge.models_folder import parse_policy, scan
from bridge.registry import Registry
from bridge.reloader import Reloader
from bridge.services import admin, family_modules
from bridge.v1 import model_service_pb2 as pb
from bridge.v1.admin_service_pb2 import LoadModelRequest

SERVING, FAILED, LOADING = pb.MODEL_STATE_SERVING, pb.MODEL_STATE_FAILED, pb.MODEL_STATE_LOADING
AVAILABLE, DRAINING = pb.MODEL_STATE_AVAILABLE, pb.MODEL_STATE_DRAINING


class Folder:
    """A models folder, a reloader for it, and the folders that were loaded, in order."""

    def __init__(self, path, latest=0, pins=()):
        self.path, self.loads, self.before_load = path, [], lambda folder: None
        options = LoadOptions(providers=["CPUExecutionProvider"], strict=False, executor=ThreadPoolExecutor(1))

        def load(folder):
            self.loads.append(f"{folder.parent.name}/{folder.name}")
            self.before_load(folder)
            return load_bundle(folder, family_modules(), options)

        self.registry = Registry()
        self.reloader = Reloader(self.registry, path, load, parse_policy(latest, pins))

    def states(self):
        """Return the state of every bundle as `ListModels` has it."""
        entries = self.registry.entries()
        return {key: SERVING if key in self.registry.served else entry.state for key, (entry, _) in entries.items()}

    def find(self, version=0):
        return self.registry.find(pb.ModelSelector(name="guard", version=version), "npc", "model")

    def loaded(self):
        done, self.loads = self.loads, []
        return done


def selector(version=0, name="guard"):
    return pb.ModelSelector(name=name, version=version)


def damage(folder):
    path = folder / "policy.onnx"
    path.write_bytes(path.read_bytes()[:-7])


def ones(spec):
    return np.ones([1, *spec.shape[1:]], spec.dtype)


def run(test, *arguments):
    return asyncio.run(asyncio.wait_for(test(*arguments), 60))


def test_a_new_version_is_loaded_and_what_did_not_change_is_not(tmp_path):
    folder = Folder(tmp_path)
    tiny_models.write_npc(tmp_path)
    tiny_models.write_npc(tmp_path, "archer")

    async def test():
        await folder.reloader.start()
        assert folder.loaded() == ["archer/1", "guard/1"]
        first = folder.find()
        tiny_models.write_npc(tmp_path, version=2)
        await folder.reloader.reload()
        assert folder.loaded() == ["guard/2"]
        assert folder.find().key == ("guard", 2)
        assert folder.find(1) is first

    run(test)


def test_changed_files_of_a_version_are_loaded_and_tell_by_their_digest(tmp_path):
    folder = Folder(tmp_path)
    tiny_models.write_npc(tmp_path)

    async def test():
        await folder.reloader.start()
        old = folder.find()
        card = tmp_path / "guard/1/card.json"
        card.write_text(card.read_text().replace("written by hand", "written again"))
        await folder.reloader.reload()
        assert folder.loaded() == ["guard/1", "guard/1"]
        assert folder.find().card.provenance.trainer == "written again"
        assert folder.find().digest != old.digest

    run(test)


def test_broken_new_files_leave_the_old_model_in_service_and_say_why(tmp_path):
    folder = Folder(tmp_path)
    tiny_models.write_npc(tmp_path)

    async def test():
        await folder.reloader.start()
        old = folder.find()
        damage(tmp_path / "guard/1")
        for _ in range(2):
            await folder.reloader.reload()
            assert folder.find() is old
            _, since = folder.registry.entries()["guard", 1]
            assert since.reason.startswith("its files were changed, and what was loaded before serves on: ")
            assert "the file is damaged or exchanged" in since.reason

    run(test)


def test_a_broken_new_version_leaves_the_old_one_in_service_even_where_one_alone_may_serve(tmp_path):
    folder = Folder(tmp_path, latest=1)
    tiny_models.write_npc(tmp_path)

    async def test():
        await folder.reloader.start()
        damage(tiny_models.write_npc(tmp_path, version=2))
        await folder.reloader.reload()
        assert folder.find().key == ("guard", 1)
        with pytest.raises(FailedPrecondition, match=r"version 2 is refused: .*damaged"):
            folder.find(2)
        assert folder.states() == {("guard", 1): SERVING, ("guard", 2): FAILED}

    run(test)


def test_a_refused_bundle_that_was_repaired_is_loaded(tmp_path):
    folder = Folder(tmp_path)
    card = tiny_models.write_npc(tmp_path) / "card.json"
    good = card.read_text()
    card.write_text("{}")

    async def test():
        await folder.reloader.start()
        assert folder.states() == {("guard", 1): FAILED}
        card.write_text(good)
        await folder.reloader.reload()
        assert folder.states() == {("guard", 1): SERVING}

    run(test)


def test_until_the_new_model_is_warm_the_old_one_answers(tmp_path):
    folder = Folder(tmp_path, latest=1)
    tiny_models.write_npc(tmp_path)

    async def test():
        await folder.reloader.start()
        seen = []
        folder.before_load = lambda _: seen.append((folder.find().key, folder.states()))
        tiny_models.write_npc(tmp_path, version=2)
        await folder.reloader.reload()
        assert seen == [(("guard", 1), {("guard", 1): SERVING, ("guard", 2): LOADING})]
        assert folder.find().key == ("guard", 2)

    run(test)


def test_a_version_asked_for_while_it_is_loaded_is_unavailable_for_a_moment(tmp_path):
    folder = Folder(tmp_path)

    async def test():
        await folder.reloader.start()

        def find(_):
            with pytest.raises(Unavailable, match="version 1 is being loaded") as caught:
                folder.find(1)
            assert caught.value.retry_s

        folder.before_load = find
        tiny_models.write_npc(tmp_path)
        await folder.reloader.reload()
        assert folder.states() == {("guard", 1): SERVING}

    run(test)


def test_a_removed_version_drains_and_then_its_session_is_gone(tmp_path):
    folder = Folder(tmp_path)
    tiny_models.write_npc(tmp_path)
    tiny_models.write_npc(tmp_path, version=2)

    async def test():
        await folder.reloader.start()
        held = folder.find(1)
        session = weakref.ref(held.batchers["policy"]._session)
        shutil.rmtree(tmp_path / "guard/1")
        await folder.reloader.reload()
        assert folder.states() == {("guard", 1): DRAINING, ("guard", 2): SERVING}
        with pytest.raises(NotFound, match=r"has versions \[2\], not 1"):
            folder.find(1)
        feeds = {spec.name: ones(spec) for spec in held.card.graph("policy").inputs}
        assert (await held.batchers["policy"].run(feeds))["move"].shape == (1, 2)
        del held
        gc.collect()
        assert session() is None
        assert folder.states() == {("guard", 2): SERVING}

    run(test)


def test_a_replaced_model_leaves_nothing_behind(tmp_path):
    folder = Folder(tmp_path)
    card = tiny_models.write_npc(tmp_path) / "card.json"

    async def test():
        await folder.reloader.start()
        sessions = []
        for number in range(5):
            sessions.append(weakref.ref(folder.find().batchers["policy"]._session))
            card.write_text(card.read_text() + "\n" * number)
            await folder.reloader.load_model(selector(1))
        gc.collect()
        assert [reference() for reference in sessions] == [None] * 5
        assert len(folder.registry._drained) <= 1

    run(test)


@pytest.mark.parametrize(("latest", "serving"), [(0, [1, 2, 3]), (1, [3]), (2, [2, 3])])
def test_the_latest_so_many_versions_serve(tmp_path, latest, serving):
    folder = Folder(tmp_path, latest)
    for version in (1, 2, 3):
        tiny_models.write_npc(tmp_path, version=version)
    run(folder.reloader.start)
    assert [version for _, version in sorted(folder.registry.served)] == serving
    left_out = {version for (_, version), state in folder.states().items() if state == AVAILABLE}
    assert left_out == {1, 2, 3} - set(serving)
    if left_out:
        with pytest.raises(FailedPrecondition, match=f"version 1 is not in service: --latest {latest} serves newer"):
            folder.find(1)


def test_pinned_versions_serve_and_a_newer_one_does_not(tmp_path):
    folder = Folder(tmp_path, latest=1, pins=("guard=1", "guard=2", "guard=9"))
    for version in (1, 2, 3):
        tiny_models.write_npc(tmp_path, version=version)
    for version in (1, 2):
        tiny_models.write_npc(tmp_path, "archer", version)
    run(folder.reloader.start)
    assert sorted(folder.registry.served) == [("archer", 2), ("guard", 1), ("guard", 2)]
    with pytest.raises(FailedPrecondition, match=r"version 3 is not in service: --pin serves guard \[1, 2, 9\]"):
        folder.find(3)
    with pytest.raises(FailedPrecondition, match="version 9 is refused: --pin names it, but there is no folder guard/9"):
        folder.find(9)


def test_load_and_unload_take_a_version_in_and_out_of_service(tmp_path):
    folder = Folder(tmp_path, latest=1)
    for version in (1, 2):
        tiny_models.write_npc(tmp_path, version=version)

    async def test():
        await folder.reloader.start()
        assert await folder.reloader.load_model(selector(1)) == ("guard", 1)
        assert folder.states() == {("guard", 1): SERVING, ("guard", 2): SERVING}
        assert await folder.reloader.unload_model(selector()) == ("guard", 2)
        gc.collect()
        assert folder.states() == {("guard", 1): SERVING, ("guard", 2): AVAILABLE}
        await folder.reloader.reload()
        with pytest.raises(FailedPrecondition, match="version 2 is not in service: UnloadModel took it out"):
            folder.find(2)
        assert await folder.reloader.load_model(selector()) == ("guard", 2)
        assert folder.find().key == ("guard", 2)

    run(test)


def test_unloading_the_latest_brings_the_one_before_back(tmp_path):
    folder = Folder(tmp_path, latest=1)
    for version in (1, 2):
        tiny_models.write_npc(tmp_path, version=version)

    async def test():
        await folder.reloader.start()
        await folder.reloader.unload_model(selector(2))
        assert folder.find().key == ("guard", 1)

    run(test)


@pytest.mark.parametrize(
    ("call", "asked", "kind", "text"),
    [
        ("load_model", selector(name=""), InvalidArgument, "is empty"),
        ("load_model", selector(name="nobody"), NotFound, r'there is no model "nobody", there are \[\'guard\'\]'),
        ("load_model", selector(7), NotFound, r"has versions \[1, 2\], not 7"),
        ("load_model", selector(2), FailedPrecondition, "version 2 is refused: .*damaged"),
        ("unload_model", selector(2), NotFound, r"has versions \[1\], not 2"),
    ],
)
def test_an_admin_call_that_cannot_be_done_says_why_and_changes_nothing(tmp_path, call, asked, kind, text):
    folder = Folder(tmp_path)
    tiny_models.write_npc(tmp_path)
    damage(tiny_models.write_npc(tmp_path, version=2))

    async def test():
        await folder.reloader.start()
        before = folder.states(), folder.find()
        with pytest.raises(kind, match=text):
            await getattr(folder.reloader, call)(asked)
        assert (folder.states(), folder.find()) == before

    run(test)


def test_a_bundle_that_hangs_at_load_is_refused_and_holds_nobody_up(tmp_path):
    folder, gate = Folder(tmp_path), threading.Event()
    folder.reloader.load_seconds = 0.3
    for name in ("archer", "guard", "hangs"):
        tiny_models.write_npc(tmp_path, name)

    def hang(bundle):
        if bundle.parent.name == "hangs":
            assert gate.wait(60)

    async def test():
        folder.before_load = hang
        await folder.reloader.start()
        assert folder.states() == {("archer", 1): SERVING, ("guard", 1): SERVING, ("hangs", 1): FAILED}
        assert "did not load in 0.3 s" in folder.registry.refused["hangs", 1].reason
        gate.set()
        folder.reloader.load_seconds = 60.0
        await folder.reloader.reload()
        assert folder.states()["hangs", 1] == SERVING

    run(test)


def test_a_load_whose_caller_is_gone_is_finished(tmp_path):
    folder, gate = Folder(tmp_path, latest=1), threading.Event()
    for version in (1, 2):
        tiny_models.write_npc(tmp_path, version=version)

    async def test():
        await folder.reloader.start()
        service = admin.Service(folder.reloader)
        folder.before_load = lambda bundle: gate.wait(60)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(service.LoadModel(LoadModelRequest(model=selector(1))), 0.3)
        assert folder.states() == {("guard", 1): LOADING, ("guard", 2): SERVING}
        gate.set()
        while folder.states()["guard", 1] != SERVING:
            await asyncio.sleep(0.05)
        assert folder.find(1).card.version == 1

    run(test)


def test_an_unreadable_models_folder_takes_nothing_out_of_service(tmp_path):
    folder = Folder(tmp_path / "models")
    tiny_models.write_npc(tmp_path / "models")

    async def test():
        await folder.reloader.start()
        watching = asyncio.create_task(folder.reloader.watch(0.01))
        (tmp_path / "models").rename(tmp_path / "away")
        with pytest.raises(OSError, match="No such file"):
            await folder.reloader.reload()
        await asyncio.sleep(0.2)
        assert folder.find().key == ("guard", 1)
        tiny_models.write_npc(tmp_path / "away", version=2)
        (tmp_path / "away").rename(tmp_path / "models")
        while folder.find().key != ("guard", 2):
            await asyncio.sleep(0.01)
        watching.cancel()

    run(test)


def test_watching_waits_until_a_bundle_keeps_still(tmp_path):
    folder = Folder(tmp_path)
    whole = tiny_models.write_npc(tmp_path / ".elsewhere", version=2)

    async def test():
        await folder.reloader.start()
        before, looks = {}, []

        async def look():
            nonlocal before
            found = scan(tmp_path)
            await folder.reloader._apply_settled(before, found)
            before = found
            looks.append(sorted(folder.states()))

        target = tmp_path / "guard/2"
        target.mkdir(parents=True)
        for name in ("policy.onnx", "card.json"):
            shutil.copy(whole / name, target)
            await look()
        await look()
        assert looks == [[], [], [("guard", 2)]]
        shutil.rmtree(target)
        await look()
        shutil.copytree(whole, target)
        await look()
        assert folder.states() == {("guard", 2): SERVING}
        await look()
        assert folder.loaded() == ["guard/2", "guard/2"]
        shutil.rmtree(target)
        await look()
        assert folder.states() == {("guard", 2): SERVING}
        await look()
        await asyncio.sleep(0)
        gc.collect()
        assert folder.states() == {}

    run(test)
