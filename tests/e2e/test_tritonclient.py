"""PyPI's tritonclient, in an environment of its own, lists, describes and runs the graphs of a sidecar."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import tiny_models
from conftest import run_sidecar

TEXT = """
<ir_version: 10, opset_import: ["": 20]>
doubled (float[N,3] x) => (float[N,3] y) { y = Add (x, x) }
"""
SCRIPT = """
import json, sys
import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient(sys.argv[1])
found = {"live": client.is_server_live(), "ready": client.is_server_ready()}
index = client.get_model_repository_index(as_json=True)["models"]
found["models"] = sorted((m["name"], m["version"], m["state"]) for m in index)
found["metadata"] = client.get_model_metadata("bare.model", as_json=True)
found["model_ready"] = [client.is_model_ready("bare.model"), client.is_model_ready("bare.model", "9")]
x = np.arange(6, dtype=np.float32).reshape(2, 3)
given = triton.InferInput("x", x.shape, "FP32")
given.set_data_from_numpy(x)
found["y"] = client.infer("bare.model", [given], outputs=[triton.InferRequestedOutput("y")]).as_numpy("y").tolist()
noise = triton.InferInput("noise", [1, 7], "FP32")
noise.set_data_from_numpy(np.zeros((1, 7), np.float32))
mask = triton.InferInput("action_mask", [1, 5], "BOOL")
mask.set_data_from_numpy(np.ones((1, 5), bool))
place = triton.InferInput("position", [1, 3], "FP32")
place.set_data_from_numpy(np.ones((1, 3), np.float32))
answer = client.infer("guard.policy", [noise, mask, place], request_id="7")
found["policy"] = [answer.as_numpy("move").shape, answer.as_numpy("act").dtype.name, answer.get_response().id]
try:
    client.infer("bare.model", [triton.InferInput("z", [1, 3], "FP32")])
except triton.InferenceServerException as error:
    found["error"] = [error.status(), error.message()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def triton_python(tmp_path_factory):
    """The interpreter of an environment with tritonclient, which wants an older protobuf than the sidecar."""
    folder = tmp_path_factory.mktemp("triton")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=300)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    command = [python, "-m", "pip", "install", "-q", "tritonclient[grpc]==2.73.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode:
        pytest.skip(f"tritonclient cannot be installed here: {done.stderr[-300:]}")
    return python


@pytest.mark.timeout(1500)
def test_tritonclient_lists_describes_and_runs_the_graphs(tmp_path, triton_python):
    models = tmp_path / "models"
    tiny_models.write_npc(models)
    tiny_models.write_avatar(models)
    (models / "bare/1").mkdir(parents=True)
    onnx.save(onnx.parser.parse_model(TEXT), models / "bare/1/model.onnx")
    with run_sidecar(models, "--allow-bare-onnx") as live:
        command = [triton_python, "-c", SCRIPT, live.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, [True, False])
    assert found["models"] == [
        ["bare.model", "1", "READY"],
        ["face.mapping", "1", "READY"],
        ["face.synthesis", "1", "READY"],
        ["guard.policy", "1", "READY"],
    ]
    assert found["metadata"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "3"]}]
    assert found["y"] == (np.arange(6).reshape(2, 3) * 2).tolist()
    assert found["policy"] == [[1, 2], "int64", "7"]
    status, message = found["error"]
    assert status == "StatusCode.INVALID_ARGUMENT"
    assert '"z" is unknown' in message
