"""Trainers in PyTorch that publish ONNX model bundles for the sidecar."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in `bridge`: before ONNX Runtime is imported
