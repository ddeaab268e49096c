"""The gRPC services: `model` and `admin` for the sidecar itself, `kserve` for every graph, and one module for each family.

A family's module has `Spec` (its section of the card), `GRAPHS` and `OPTIONAL_GRAPHS` (in the bundle's order), `MAX_BATCH`,
`THREADS`, `DESCRIPTOR` (the service in the contract) and `Service`, whose methods are the RPCs: `async` request → response, or
an async generator of responses.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

FAMILIES = ("avatar", "scene", "picture", "npc")


def family_modules() -> dict[str, ModuleType]:
    """Return the service module of each family by name."""
    return {family: import_module(f"bridge.services.{family}") for family in FAMILIES}
