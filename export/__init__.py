"""Trainers in PyTorch that publish ONNX model bundles for the sidecar."""
