"""Policies that were not trained here: ONNX files of ML-Agents or of anyone, PyTorch modules, RLModules of RLlib."""
