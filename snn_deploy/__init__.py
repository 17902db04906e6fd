"""Compile a trained spiking network for a Loihi-style chip, run it, and price it."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snn_deploy.importers.model_file import save as save

__version__ = "0.1.0"

_HOMES = {
    "save": "snn_deploy.importers.model_file",
}
__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: torch and others are slow."""
    if name not in _HOMES:
        raise AttributeError(f"module 'snn_deploy' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
