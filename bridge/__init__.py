"""Metabridge's sidecar: serves ONNX model bundles to game engines over gRPC, gRPC-Web and Connect."""

__version__ = "0.1.0"
