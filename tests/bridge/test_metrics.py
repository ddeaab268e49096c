"""Metrics, logs and traces: every call is counted where it belongs, and no line is written for it."""

from __future__ import annotations

import json
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import pytest
import tiny_models
from conftest import run_sidecar, sidecar_in_thread
from family_cases import CASES, FAMILIES, write_models
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from wire import PROTOCOLS, open_wire

from bridge import logs, top
from bridge.__main__ import main
from bridge.calls import Calls, Metadata
from bridge.v1 import npc_service_pb2

METHOD = npc_service_pb2.DESCRIPTOR.services_by_name["NpcService"].methods_by_name["ChooseActions"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A models folder with good and damaged bundles of every family."""
    folder = tmp_path_factory.mktemp("families")
    write_models(folder)
    return folder


@pytest.fixture(scope="module")
def counted(models):
    """A sidecar whose metrics are looked at."""
    with sidecar_in_thread(models) as sidecar:
        yield sidecar


def snapshot(sidecar):
    return top.fetch(f"http://127.0.0.1:{sidecar.web_port}", "", 30)


def wire_to(sidecar, protocol):
    return open_wire(protocol, f"127.0.0.1:{sidecar.port}", f"http://127.0.0.1:{sidecar.web_port}")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", CASES)
def test_a_call_is_counted_with_its_method_model_code_and_times(counted, protocol, name):
    case = CASES[name]
    method = case.method.replace("/", ".")
    with wire_to(counted, protocol) as wire:
        before = snapshot(counted)
        assert case.call(wire, case.request(2, time.monotonic_ns() % 2**32)).code == "OK"
        assert case.call(wire, b"\xff\xff").code == "INVALID_ARGUMENT"
        now = snapshot(counted)

    def grown(metric, **labels):
        return now.since(before, f"metabridge_{metric}", method=method, **labels)

    used = "grpc-web" if case.stream and protocol == "connect" else protocol
    assert grown("calls_total", protocol=used, code="OK") == 1
    if protocol == "grpc":
        assert grown("calls_total", protocol=protocol, code="INVALID_ARGUMENT") == 1
    assert grown("call_seconds_count", model=case.family) == 1
    phases = {phase: grown("call_phase_seconds_sum", model=case.family, phase=phase) for phase in ("queue", "run", "encode")}
    assert phases["run"] > 0
    assert phases["encode"] > 0 or case.runs_alone  # tiles that are made at the same time sum to more than the call
    assert phases["queue"] >= 0
    assert now.since(before, "metabridge_batch_rows_count", model=case.family) >= 1


def test_state_is_shown_as_it_is(counted):
    now = snapshot(counted)
    served, refused = len(counted.registry.served), len(counted.registry.refused)
    assert refused == len(FAMILIES)
    assert now.value("metabridge_bundles", state="serving") == served
    assert now.value("metabridge_bundles", state="failed") == refused
    assert now.value("metabridge_bundle_loads_total", result="loaded") == served
    assert now.value("metabridge_model_info", model="npc", version="2", provider="CPUExecutionProvider") == 1
    assert now.value("metabridge_queue_depth", model="avatar", graph="synthesis") == 0
    assert now.value("process_resident_memory_bytes") > 1e7


def test_requests_that_wait_are_shown_and_time_in_the_queue_is_told_from_the_run(models):
    case = CASES["ChooseActions"]
    with (
        sidecar_in_thread(models, max_wait_ms=1500.0) as sidecar,
        ThreadPoolExecutor(1) as pool,
        wire_to(sidecar, "grpc") as wire,
    ):
        call = pool.submit(case.call, wire, case.request(2, 5))
        while not sidecar.registry.served["npc", 2].batchers["policy"].depth:
            assert not call.done()
            time.sleep(0.005)
        assert snapshot(sidecar).value("metabridge_queue_depth", model="npc") == 1
        assert call.result().code == "OK"
        now = snapshot(sidecar)
    waited = now.value("metabridge_call_phase_seconds_sum", phase="queue")
    assert waited >= 1.4
    assert now.value("metabridge_call_phase_seconds_sum", phase="run") < waited


def test_top_shows_calls_models_and_errors(counted, capsys):
    case = CASES["GenerateAvatars"]
    with wire_to(counted, "grpc") as wire:
        case.call(wire, case.request(3, 5))
        case.call(wire, b"\xff")
    assert main(["top", "--once", "--web", f"http://127.0.0.1:{counted.web_port}"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"AvatarService.GenerateAvatars +avatar +\d", out)
    assert re.search(r"avatar +synthesis +2 +0 .* CPUExecutionProvider", out)
    assert "INVALID_ARGUMENT" in out
    assert "MiB" in out
    assert main(["top", "--once", "--web", "http://127.0.0.1:1"]) == 1
    assert "is a sidecar's web port there" in capsys.readouterr().err


def test_quantiles_are_read_from_the_growth_of_buckets():
    def at(*counts):
        lines = [f'm_bucket{{a="b",le="{le}"}} {count}' for le, count in zip(("0.1", "0.2", "+Inf"), counts, strict=True)]
        return top.parse(
            "\n".join(["# TYPE metabridge_bundles gauge", "metabridge_bundles 1", "# TYPE m histogram", *lines, ""]), 0
        )

    before, now = at(5, 5, 5), at(5, 15, 15)
    assert top.quantile(now, before, "m_bucket", {"a": "b"}, 0.5) == pytest.approx(0.15)
    assert top.quantile(now, now, "m_bucket", {"a": "b"}, 0.5) == 0.0
    assert top.quantile(at(0, 0, 4), None, "m_bucket", {"a": "b"}, 0.5) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("localhost", 200), ("[::1]:80", 200), ("game.lan:50052", 200), ("evil.example", 421), ("", 421)],
)
def test_only_known_hosts_are_answered(models, host, status, request):
    sidecar = request.getfixturevalue("known_hosts")
    with httpx.Client(base_url=f"http://127.0.0.1:{sidecar.web_port}", trust_env=False, timeout=30) as http:
        assert http.get("/metrics", headers={"host": host}).status_code == status
        answer = http.post("/bridge.v1.ModelService/ListModels", json={}, headers={"host": host})
        assert answer.status_code == status
        if status != 200:
            assert "--allowed-hosts" in answer.text


@pytest.fixture(scope="module")
def known_hosts(tmp_path_factory):
    """A sidecar with a name of its own."""
    with sidecar_in_thread(tmp_path_factory.mktemp("none"), allowed_hosts=("Game.lan",)) as sidecar:
        yield sidecar


def test_metrics_want_the_token(tmp_path):
    (tmp_path / "token").write_text("scrape-me-0123456789")
    with sidecar_in_thread(tmp_path, token_file=tmp_path / "token") as sidecar:
        url = f"http://127.0.0.1:{sidecar.web_port}/metrics"
        with httpx.Client(trust_env=False, timeout=30) as http:
            assert http.get(url).status_code == 401
            good = http.get(url, headers={"authorization": "Bearer scrape-me-0123456789"})
        assert good.headers["content-type"].startswith("text/plain; version=")
        assert "metabridge_bundles" in good.text


def lines_of(models, capfd, *options):
    case = CASES["ChooseActions"]
    with run_sidecar(models, *options) as live, open_wire("grpc", live.address, live.web) as wire:
        for seed in range(5):
            assert case.call(wire, case.request(1, seed)).code == "OK"
        assert case.call(wire, b"\xff\xff").code == "INVALID_ARGUMENT"
    return capfd.readouterr().err.splitlines()


def test_no_line_is_logged_for_a_request_and_json_lines_are_json(tmp_path, capfd):
    tiny_models.write_npc(tmp_path, "npc")
    lines = [json.loads(line) for line in lines_of(tmp_path, capfd, "--log-format", "json")]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert not any("ChooseActions" in line["message"] for line in lines)
    assert any(line["message"].startswith("serving npc version 1") for line in lines)


def test_at_debug_level_every_call_is_a_line_with_its_request_id(tmp_path, capfd):
    tiny_models.write_npc(tmp_path, "npc")
    lines = [json.loads(line) for line in lines_of(tmp_path, capfd, "--log-format", "json", "--log-level", "debug")]
    calls = [line for line in lines if line["logger"] == "metabridge.calls" and "ChooseActions" in line["message"]]
    assert len(calls) == 6
    assert len({line["request_id"] for line in calls}) == 6
    assert sum("ended with INVALID_ARGUMENT" in line["message"] for line in calls) == 1


@pytest.mark.parametrize("given", ["tick-42", "", "no spaces, please", "x" * 65])
def test_a_callers_request_id_is_kept_where_it_is_one(given, caplog):
    records = []
    with Calls(observers=(records.append,)).begin(METHOD, "grpc", Metadata(request_id=given)) as call:
        line = logs.JsonFormatter().format(logging.LogRecord("metabridge", logging.INFO, "", 0, "hello", (), None))
        text = logs.TextFormatter(logs.TEXT).format(logging.LogRecord("metabridge", logging.INFO, "", 0, "hello", (), None))
    assert records == [call]
    assert (call.request_id == given) == (given == "tick-42")
    assert json.loads(line)["request_id"] == call.request_id
    assert text.endswith(f"hello [request {call.request_id}]")


def test_an_error_carries_the_request_id_under_which_it_is_logged(counted):
    case = CASES["ChooseActions"]
    with grpc.insecure_channel(f"127.0.0.1:{counted.port}") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{case.method}")(b"\xff", metadata=(("x-request-id", "tick-42"),), timeout=30)
    assert b"tick-42" in dict(caught.value.trailing_metadata())["grpc-status-details-bin"]


class Collector(grpc.GenericRpcHandler):
    """An OpenTelemetry collector that keeps the spans it is sent."""

    def __init__(self):
        self.spans = []

    def service(self, details):
        assert details.method == "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        return grpc.unary_unary_rpc_method_handler(
            self.export,
            trace_service_pb2.ExportTraceServiceRequest.FromString,
            trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
        )

    def export(self, request, context):
        self.spans += [
            (span, resource.resource)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_is_a_span_in_the_callers_trace(models, monkeypatch, protocol):
    collector, case = Collector(), CASES["GenerateAvatars"]
    server = grpc.server(ThreadPoolExecutor(2), handlers=(collector,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    header = ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")
    with sidecar_in_thread(models) as sidecar, wire_to(sidecar, protocol) as wire:
        if protocol == "grpc":
            wire._channel.unary_unary(f"/{case.method}")(case.request(2, 5).SerializeToString(), metadata=(header,), timeout=30)
        else:
            wire._http.headers[header[0]] = header[1]
            assert case.call(wire, case.request(2, 5)).code == "OK"
    server.stop(None).wait(10)
    spans = [(span, resource) for span, resource in collector.spans if span.name == "bridge.v1.AvatarService/GenerateAvatars"]
    ((span, resource),) = spans
    assert span.trace_id.hex() == trace
    assert span.parent_span_id.hex() == "00f067aa0ba902b7"
    values = {attribute.key: attribute.value for attribute in span.attributes}
    assert values["metabridge.model"].string_value == "avatar"
    assert values["metabridge.run_seconds"].double_value > 0
    assert span.start_time_unix_nano < span.end_time_unix_nano
    assert any(a.key == "service.name" and a.value.string_value == "metabridge" for a in resource.attributes)
