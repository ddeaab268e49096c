"""ONNX Runtime's execution providers: which are asked for, in which order and with which options."""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Sequence

import onnxruntime as ort

CUDA, CPU, TENSORRT = "CUDAExecutionProvider", "CPUExecutionProvider", "TensorrtExecutionProvider"
DIRECTML, COREML = "DmlExecutionProvider", "CoreMLExecutionProvider"
NAMES = {"tensorrt": TENSORRT, "cuda": CUDA, "directml": DIRECTML, "coreml": COREML, "cpu": CPU}
WORDS = ("auto", "strict", *NAMES)
MIB = 1 << 20
ProviderEntry = str | tuple[str, dict[str, str]]
log = logging.getLogger("metabridge")


class ProviderError(RuntimeError):
    """A provider that is wanted and cannot be had; the message says what to do."""


def choose_providers(words: Sequence[str], device_id: int = 0, gpu_memory_mib: int = 0) -> list[ProviderEntry]:
    """Return what ONNX Runtime is given: providers in order of preference, with options where they have any, the CPU last.

    `auto` stands for CUDA. With `strict`, alone or before names, the first must be there, else `ProviderError`; otherwise one
    that cannot be had is passed over with a line in the log. Nothing is asked for whose driver is missing, since ONNX
    Runtime logs an error for each session then.
    """
    strict = "strict" in words
    wanted = [NAMES["cuda" if word == "auto" else word] for word in words if word != "strict"] or [CUDA]
    found: list[ProviderEntry] = []
    for place, name in enumerate(dict.fromkeys(wanted)):
        reason = _missing(name)
        if not reason:
            found.append(_entry(name, device_id, gpu_memory_mib))
        elif strict and not place:
            raise ProviderError(f"--providers strict wants {name}, but {reason}, or use --providers auto")
        else:
            log.warning("serving without %s: %s", name, reason)
    if CPU not in found:
        found.append(CPU)
    return found


def name_of(entry: ProviderEntry) -> str:
    """Return a provider's name."""
    return entry if isinstance(entry, str) else entry[0]


def cuda_driver() -> bool:
    """Return whether NVIDIA's driver is present."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _missing(name: str) -> str:
    """Return why a provider cannot be had, and what to do; nothing if it can."""
    available = ort.get_available_providers()
    if name not in available:
        package = {CUDA: "onnxruntime-gpu", TENSORRT: "onnxruntime-gpu", DIRECTML: "onnxruntime-directml"}.get(
            name, "onnxruntime"
        )
        return f"this build of ONNX Runtime offers {available}; install {package}"
    if name in (CUDA, TENSORRT) and not cuda_driver():
        return "no CUDA driver is present; install NVIDIA's driver"
    return ""


def _entry(name: str, device_id: int, gpu_memory_mib: int) -> ProviderEntry:
    """Return a provider with the device and, where it has such a thing, the limit of its memory."""
    if name in (CPU, COREML):
        return name
    options = {"device_id": str(device_id)}
    if gpu_memory_mib and name == CUDA:
        options |= {"gpu_mem_limit": str(gpu_memory_mib * MIB), "arena_extend_strategy": "kSameAsRequested"}
    if gpu_memory_mib and name == TENSORRT:
        options["trt_max_workspace_size"] = str(gpu_memory_mib * MIB)
    return name, options
