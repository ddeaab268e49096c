"""Engines that stall, vanish, come back or send nonsense: each gets a clear error, and the trainer saves, waits and goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remote_engine import DONE, HEARTBEAT, LINKS, Engine, Refused, World, box_spec, connect

from bridge import tensors
from bridge.start_checks import StartError
from bridge.v1 import environment_service_pb2 as pb
from export.npc.remote_env.engines import EngineLostError, Engines
from export.npc.remote_env.env import RemoteVectorEnv
from export.npc.remote_env.sb3_env import RemoteVecEnv
from export.npc.remote_env.server import EngineServer, ListenConfig, StoppedError
from export.npc.remote_env.session import Timing

PATIENT = Timing(heartbeat_seconds=0.2, silence_seconds=60.0, step_seconds=60.0)
STEP, RESET, WAIT_COMMAND, CLOSE = (getattr(pb, f"COMMAND_KIND_{name}") for name in ("STEP", "RESET", "WAIT", "CLOSE"))
ONES = np.ones(2, np.int64)
SECONDS = 60.0
EVERY = pytest.mark.parametrize("link", LINKS)


class Trainer:
    """A trainer's side in a thread of its own, beside an engine that the test plays report by report."""

    def __init__(self, server: EngineServer, thread: ThreadPoolExecutor, wait_seconds: float = SECONDS) -> None:
        self.server, self._thread = server, thread
        self.losses: list[str] = []
        self.backs: list[int] = []
        self._news = threading.Condition()
        self._wait = wait_seconds
        self.engines: Engines | None = None

    def ready(self, engine: Engine) -> RemoteVectorEnv:
        """Return the environment of an engine that offers itself."""
        engine.offer()
        return self.filled()

    def filled(self) -> RemoteVectorEnv:
        """Return the environment of the engines that have offered themselves."""
        self.engines = Engines(self.server, wait_seconds=self._wait)
        self.engines.on_lost = self._lost
        self.engines.on_back = self.backs.append
        return RemoteVectorEnv(self.engines)

    def _lost(self, place: int, reason: str) -> None:
        with self._news:
            self.losses.append(f"{place}: {reason}")
            self._news.notify_all()

    def sees(self, reason: str) -> None:
        """Return when an engine was lost for a reason."""
        with self._news:
            assert self._news.wait_for(lambda: any(reason in loss for loss in self.losses), SECONDS), self.losses

    def later(self, function, *arguments, **settings):
        """Call something of the environment's; the answer is a future."""
        return self._thread.submit(function, *arguments, **settings)

    def started(self, engine: Engine) -> RemoteVectorEnv:
        """Return an environment that is reset with seed 20, its engine waiting for a step."""
        env = self.ready(engine)
        first = self.later(env.reset, seed=20)
        command = engine.next()
        assert (command.kind, command.seed) == (RESET, 20)
        engine.send(engine.do(command))
        first.result(SECONDS)
        return env


@contextlib.contextmanager
def training(engines: int = 1, timing: Timing = PATIENT, wait_seconds: float = SECONDS, **listen):
    with EngineServer(ListenConfig(port=0, timing=timing, **listen), engines) as server, ThreadPoolExecutor(1) as thread:
        try:
            yield Trainer(server, thread, wait_seconds)
        finally:
            server.close("the test is over")


@contextlib.contextmanager
def engine_of(link: str, trainer: Trainer, world: World | None = None):
    engine = connect(link, trainer.server, world or World())
    try:
        yield engine
    finally:
        engine.link.close()


def offered(engine: Engine) -> None:
    """Offer a world as soon as the trainer has found out that the engine before it is gone."""
    while True:
        try:
            engine.offer()
        except Refused as refused:
            if "has its 1 engine" not in refused.text:
                raise
            engine.link.close()
            engine.link = engine.anew()
            time.sleep(0.05)
        else:
            return


def again(engine: Engine) -> Engine:
    """Return the same engine on a new connection."""
    return dataclasses.replace(engine, link=engine.anew())


@EVERY
def test_an_engine_that_loses_its_connection_in_a_step_comes_back_with_its_token_and_loses_no_tick(link):
    with training() as trainer, engine_of(link, trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        command = engine.next()
        report = engine.do(command)
        engine.link.close()
        back = again(engine)
        with contextlib.closing(back.link):
            assert back.offer().kind == WAIT_COMMAND
            back.send(report)
            observations, _, _, truncated, _ = step.result(SECONDS)
            assert observations[:, 1].tolist() == [1, 1]
            assert not truncated.any()


@EVERY
def test_a_command_that_was_lost_on_the_way_is_sent_again_under_its_number(link):
    with training() as trainer, engine_of(link, trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        lost = engine.next()
        engine.link.close()
        back = dataclasses.replace(again(engine), sequence=lost.sequence - 1)  # it never came here
        with contextlib.closing(back.link):
            back.offer()
            command = back.next()
            assert command == lost
            back.send(back.do(command))
            assert step.result(SECONDS)[0][:, 1].tolist() == [1, 1]


@EVERY
def test_a_report_that_is_sent_twice_is_taken_once(link):
    with training() as trainer, engine_of(link, trainer) as engine:
        env = trainer.started(engine)
        first = trainer.later(env.step, ONES)
        report = engine.do(engine.next())
        engine.send(report)
        first.result(SECONDS)
        second = trainer.later(env.step, 0 * ONES)
        changed = pb.EnvironmentReport.FromString(report.SerializeToString())
        changed.rewards[:] = [99.0, 99.0]
        command = engine.send(changed)
        while command.kind == WAIT_COMMAND:
            command = engine.heartbeat()
        assert command.sequence == report.sequence + 1
        engine.send(engine.do(command))
        assert second.result(SECONDS)[1].tolist() == [0.0, 0.0]


@EVERY
def test_an_engine_that_stalls_is_reported_and_goes_on_when_it_answers(link):
    with training(timing=Timing(0.1, silence_seconds=0.4)) as trainer, engine_of(link, trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        report = engine.do(engine.next())
        trainer.sees("nothing was heard of it")
        engine.send(report)
        assert step.result(SECONDS)[0][:, 1].tolist() == [1, 1]
        assert set(trainer.backs) == {0}


def test_an_engine_that_is_alive_but_does_not_finish_a_step_is_reported_too():
    with training(timing=Timing(0.1, 60.0, step_seconds=0.3)) as trainer, engine_of("stream", trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        command = engine.next()
        while not trainer.losses:
            assert engine.heartbeat().kind == WAIT_COMMAND
        trainer.sees("it is alive, but has worked on command 2")
        engine.send(engine.do(command))
        assert not step.result(SECONDS)[3].any()


@EVERY
def test_another_engine_takes_the_place_of_one_that_is_gone_and_episodes_are_cut_short_where_they_were(link):
    with training(timing=Timing(0.1, silence_seconds=0.4)) as trainer, engine_of(link, trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        engine.send(engine.do(engine.next()))
        step.result(SECONDS)
        step = trainer.later(env.step, ONES)
        engine.next()
        engine.link.close()
        with engine_of(link, trainer) as other:
            offered(other)
            command = other.next()
            assert command.kind == RESET
            assert command.is_seeded
            other.send(other.do(command))
            observations, rewards, terminated, truncated, info = step.result(SECONDS)
            assert (truncated.tolist(), terminated.tolist(), rewards.tolist()) == ([True] * 2, [False] * 2, [0.0] * 2)
            assert observations[:, 1].tolist() == [0, 0]
            assert [final.tolist() for final in info["final_obs"]] == [[20, 1, 1], [21, 1, 1]]
            late = again(engine)
            with contextlib.closing(late.link), pytest.raises(Refused, match="belongs to no engine") as caught:
                late.heartbeat()
            assert (caught.value.code, caught.value.fields) == ("NOT_FOUND", ["report.resume_token"])


@EVERY
def test_an_engine_that_comes_back_with_another_offer_is_refused_and_waited_for(link):
    with training() as trainer, engine_of(link, trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        command = engine.next()
        engine.link.close()
        back = again(engine)
        with contextlib.closing(back.link), pytest.raises(Refused, match="which the training was begun with") as caught:
            back.offer(spec=box_spec(shape=(4,)))
        assert (caught.value.code, caught.value.fields) == ("FAILED_PRECONDITION", ["report.spec.observations[0].shape"])
        back = again(engine)
        with contextlib.closing(back.link):
            back.offer()
            back.send(back.do(command))
            assert step.result(SECONDS)[0][:, 1].tolist() == [1, 1]


def test_a_second_engine_is_refused_while_the_first_is_there_and_one_with_other_rows_when_it_is_gone():
    with training() as trainer, engine_of("stream", trainer) as engine:
        trainer.started(engine)
        with engine_of("grpc", trainer) as other, pytest.raises(Refused, match="has its 1 engine; give it more with --engines"):
            other.offer()
        engine.link.close()
        with engine_of("grpc", trainer, World(3)) as other:
            with pytest.raises(Refused, match=r"3 rows, expected \[2\]") as caught:
                offered(other)
            assert caught.value.fields == ["report.spec.environments"]


@EVERY
def test_a_report_of_a_wrong_shape_is_refused_and_may_be_sent_again_as_it_should_be(link):
    with training() as trainer, engine_of(link, trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        report = engine.do(engine.next())
        wrong = pb.EnvironmentReport.FromString(report.SerializeToString())
        del wrong.observations[:]
        wrong.observations.extend(tensors.from_arrays({"observation": np.zeros((2, 9), np.float32)}))
        with pytest.raises(Refused, match=r"shape is \[2, 9\], expected \[2, 3\]") as caught:
            engine.send(wrong)
        assert (caught.value.code, caught.value.fields) == ("INVALID_ARGUMENT", ["report.observations[0].tensor.shape"])
        trainer.sees("its report was refused: report.observations[0].tensor.shape")
        back = again(engine)
        with contextlib.closing(back.link):
            back.offer()
            back.send(report)
            assert step.result(SECONDS)[0][:, 1].tolist() == [1, 1]


@EVERY
def test_a_row_with_nan_is_cut_short_alone_and_begins_anew(link):
    with training() as trainer, engine_of(link, trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        report = engine.do(engine.next())
        seen = engine.world.observe()
        seen[1, 2] = np.nan
        del report.observations[:]
        report.observations.extend(tensors.from_arrays({"observation": seen}))
        command = engine.send(report)
        while command.kind == WAIT_COMMAND:
            command = engine.heartbeat()
        assert command.kind == RESET
        assert list(command.chosen) == [False, True]
        (failure,) = command.failures
        assert (failure.row, failure.field) == (1, "report.observations[0].tensor")
        assert "cut short and it begins a new one" in failure.message
        engine.send(engine.do(command))
        observations, rewards, terminated, truncated, info = step.result(SECONDS)
        assert observations.tolist() == [[20, 1, 1], [21, 0, 0]]
        assert (rewards.tolist(), terminated.tolist(), truncated.tolist()) == ([1.0, 0.0], [False, False], [False, True])
        assert info["final_obs"][1].tolist() == [21, 0, 0]
        assert "NaN" in info["failure"][1]


def test_an_engine_whose_row_stays_nan_is_sent_away_and_another_one_goes_on():
    with training() as trainer, engine_of("stream", trainer) as engine:
        env = RemoteVecEnv(trainer.started(engine).engines)
        step = trainer.later(env.step, ONES)
        command = engine.next()
        while command.kind != CLOSE:
            report = engine.heartbeat if command.kind == WAIT_COMMAND else None
            if report:
                command = report()
                continue
            done = engine.do(command)
            del done.observations[:]
            done.observations.extend(tensors.from_arrays({"observation": np.full((2, 3), np.nan, np.float32)}))
            command = engine.send(done)
        assert "was reset 3 times and is still not usable" in command.message
        with engine_of("stream", trainer) as other:
            offered(other)
            other.send(other.do(other.next()))
            _, rewards, dones, infos = step.result(SECONDS)
        assert dones.all()
        assert not rewards.any()
        assert all(info["engine_lost"] for info in infos)


@EVERY
@pytest.mark.parametrize(
    ("report", "code", "field"),
    [
        ({"kind": 0}, "INVALID_ARGUMENT", "report.kind"),
        ({"kind": 9}, "INVALID_ARGUMENT", "report.kind"),
        ({"kind": HEARTBEAT}, "NOT_FOUND", "report.resume_token"),
        ({"kind": DONE, "resume_token": "of somebody else"}, "NOT_FOUND", "report.resume_token"),
    ],
)
def test_a_report_of_nobody_is_refused(link, report, code, field):
    with training() as trainer, engine_of(link, trainer) as engine:
        with pytest.raises(Refused) as caught:
            engine.send(pb.EnvironmentReport(**report))
        assert (caught.value.code, caught.value.fields) == (code, [field])


@EVERY
def test_another_protocol_version_is_refused_with_both(link):
    with training() as trainer, engine_of(link, trainer) as engine:
        with pytest.raises(Refused, match="is 2, this trainer speaks 1") as caught:
            engine.offer(protocol_version=2)
        assert (caught.value.code, caught.value.fields) == ("FAILED_PRECONDITION", ["report.protocol_version"])


def test_a_number_from_the_future_is_refused():
    with training() as trainer, engine_of("grpc", trainer) as engine:
        trainer.started(engine)
        with pytest.raises(Refused, match="is 9, but the last command was 1"):
            engine.send(pb.EnvironmentReport(kind=HEARTBEAT, sequence=9))


@EVERY
def test_a_message_beyond_the_limit_is_refused_before_it_is_read(link):
    with training(max_message_mib=1) as trainer, engine_of(link, trainer) as engine:
        with pytest.raises(Refused) as caught:
            engine.send(pb.EnvironmentReport(kind=HEARTBEAT, message="x" * (2 << 20)))
        assert caught.value.code == "RESOURCE_EXHAUSTED"


def test_an_offer_whose_step_is_beyond_the_limit_is_refused():
    with training(max_message_mib=1) as trainer, engine_of("grpc", trainer, World(60_000)) as engine:
        with pytest.raises(Refused, match="--max-message-mib") as caught:
            engine.offer()
        assert caught.value.fields == ["report.spec"]


@pytest.fixture(scope="module")
def busy():
    """A trainer that waits for its engine's step while others send it nonsense."""
    with training(timing=Timing(0.2, 3600.0, 3600.0)) as trainer, engine_of("grpc", trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        yield trainer
        engine.send(engine.do(engine.next()))
        assert step.result(SECONDS)[0][:, 1].tolist() == [1, 1]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=80), link=st.sampled_from(LINKS))
def test_no_bytes_disturb_a_training(busy, data, link):
    with engine_of(link, busy) as engine:
        code = "OK"
        try:
            engine.link.send(data)
        except Refused as error:
            code = error.code
    assert code in ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION")


def test_no_engine_in_time_is_an_error_with_the_addresses():
    with training(wait_seconds=0.3) as trainer, pytest.raises(EngineLostError) as caught:
        trainer.filled()
    assert "0 of 1 engines offered themselves" in str(caught.value)
    assert trainer.server.address in str(caught.value)
    assert trainer.server.web in str(caught.value)


def test_an_engine_that_does_not_come_back_in_time_is_an_error_that_says_how_to_go_on():
    with training(wait_seconds=0.3) as trainer, engine_of("stream", trainer) as engine:
        env = trainer.started(engine)
        step = trainer.later(env.step, ONES)
        engine.next()
        engine.link.close()
        with pytest.raises(EngineLostError, match=r"engine 0 was lost \(its connection ended\).*go on with --resume"):
            step.result(SECONDS)


def test_waiting_ends_when_the_trainer_is_to_stop():
    with EngineServer(ListenConfig(port=0)) as server, pytest.raises(StoppedError, match="while waiting for an engine"):
        Engines(server, should_stop=lambda: True)


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ({"host": "0.0.0.0"}, "can be reached from other machines and there is no TLS"),
        ({"tls_cert": "cert.pem"}, "go together"),
    ],
)
def test_what_is_not_safe_is_refused_at_the_start(listen, says):
    with pytest.raises(StartError, match=says), EngineServer(ListenConfig(port=0, **listen)):
        pass


def test_a_port_that_is_taken_is_an_error_that_says_so():
    with EngineServer(ListenConfig(port=0)) as server:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(StartError, match="cannot bind"), EngineServer(ListenConfig(port=port)):
            pass
