"""Bundles that crash, hang or starve ONNX Runtime at load: each is refused with what it did, and the others serve on."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
import tiny_models
from bad_bundles import CRASH, HANG, STARVE, write_bad
from conftest import run_sidecar, sidecar_in_thread

from bridge.client import Client
from bridge.config import ServeConfig
from bridge.probe import CACHE_FILE, CACHE_VARIABLE, cache_folder
from bridge.v1.model_service_pb2 import MODEL_STATE_FAILED, MODEL_STATE_SERVING


def states(client: Client) -> dict[tuple[str, int], tuple[int, str]]:
    return {(model.name, model.version): (model.state, model.reason) for model in client.models()}


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def models(tmp_path) -> Path:
    """A models folder with one good policy, "guard"."""
    folder = tmp_path / "models"
    tiny_models.write_npc(folder)
    return folder


@pytest.mark.parametrize(
    ("nodes", "options", "text"),
    [
        (CRASH, (), "ends the process that does it (SIGFPE), as it would end the sidecar"),
        (HANG, ("--load-seconds", "3"), "did not load in 3 s; export it again, or raise --load-seconds"),
        (STARVE, ("--load-memory-mib", "1024"), "a load may take 1024 MiB, or what the machine has: see --load-memory-mib"),
    ],
    ids=["crash", "hang", "starve"],
)
def test_a_bundle_that_would_end_the_sidecar_is_refused_and_the_others_serve(models, nodes, options, text) -> None:
    write_bad(models, nodes)
    tiny_models.write_npc(models, "scout")
    with run_sidecar(models, *options) as live, Client(live.address) as client:
        found = states(client)
        assert [found[name, 1][0] for name in ("guard", "bad", "scout")] == [
            MODEL_STATE_SERVING,
            MODEL_STATE_FAILED,
            MODEL_STATE_SERVING,
        ]
        assert text in found["bad", 1][1]
        assert psutil.Process(live.process.pid).children() == []
        assert psutil.Process(live.process.pid).memory_info().rss < 512 << 20


def test_a_new_version_that_would_end_the_sidecar_leaves_the_old_one_in_service(models) -> None:
    with run_sidecar(models, "--watch-seconds", "0.1", "--latest", "1") as live, Client(live.address) as client:
        write_bad(models / ".written", CRASH, "guard", 2).rename(models / "guard" / "2")
        end = time.monotonic() + 60
        while ("guard", 2) not in (found := states(client)) or found["guard", 2][0] != MODEL_STATE_FAILED:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert found["guard", 1][0] == MODEL_STATE_SERVING


def test_a_bundle_is_tried_once_for_the_same_files_and_settings(models, own_cache) -> None:
    def passed() -> int:
        return len((own_cache / CACHE_FILE).read_text().split())

    with sidecar_in_thread(models):
        assert passed() == 1
    with sidecar_in_thread(models):
        assert passed() == 1
    with sidecar_in_thread(models, threads=2):
        assert passed() == 2
    shutil.rmtree(models / "guard" / "1")
    tiny_models.write_npc(models, "guard", 2)
    with sidecar_in_thread(models):
        assert passed() == 3


def test_a_bundle_that_is_refused_has_not_passed(models, own_cache) -> None:
    write_bad(models, CRASH)
    for _ in range(2):
        with sidecar_in_thread(models) as sidecar:
            assert "SIGFPE" in sidecar.registry.refused["bad", 1].reason
            assert ("guard", 1) in sidecar.registry.served
    assert len((own_cache / CACHE_FILE).read_text().split()) == 1


@pytest.mark.parametrize("isolation", ["always", "never"])
def test_isolation_is_a_choice(models, own_cache, isolation) -> None:
    with sidecar_in_thread(models, load_isolation=isolation) as sidecar:
        assert (sidecar.reloader.probe is None) == (isolation == "never")
        assert list(sidecar.registry.served) == [("guard", 1)]
    assert not own_cache.exists()


def test_a_cache_that_cannot_be_written_is_done_without(models, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with sidecar_in_thread(models) as sidecar:
        assert list(sidecar.registry.served) == [("guard", 1)]


def test_a_process_that_cannot_be_started_is_done_without_and_said(models, own_cache, monkeypatch, caplog) -> None:
    monkeypatch.setattr("bridge.probe.sys.executable", "/bin/false")
    with sidecar_in_thread(models) as sidecar:
        assert list(sidecar.registry.served) == [("guard", 1)]
    assert "loaded without being tried in a process of their own" in caplog.text


def test_a_stop_while_a_bundle_hangs_leaves_no_process(models, own_cache) -> None:
    write_bad(models, HANG)
    with run_hanging(models) as process:
        end = time.monotonic() + 60
        while not (children := process.children()) or children[0].cpu_times().user < 1.0:
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert psutil.wait_procs(children, 10)[1] == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends with its alarm, ten seconds after --load-seconds")
def test_a_kill_while_a_bundle_hangs_leaves_no_process(models, own_cache) -> None:
    write_bad(models, HANG)
    with run_hanging(models) as process:
        try:
            end = time.monotonic() + 240
            while not (children := process.children()) or children[0].cpu_times().user < 3.0:  # beyond its imports
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            process.kill()
        assert psutil.wait_procs(children, 60)[1] == []


def run_hanging(models: Path):
    """Start a sidecar that does not become ready."""
    return psutil.Popen([sys.executable, "-m", "bridge", "serve", "--models", str(models), "--port", "0"])


def test_the_cache_lies_where_caches_lie(monkeypatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/metabridge")
    assert ServeConfig().load_isolation == "new"
