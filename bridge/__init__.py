"""Metabridge's sidecar: serves ONNX model bundles to game engines over gRPC, gRPC-Web and Connect."""

import os

__version__ = "0.1.0"

# ONNX Runtime reads it when it is imported: since 1.29 it reports sessions to Microsoft, on Linux too, unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
