"""The backends by name, each imported when it is asked for."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from snn_deploy.errors import BackendError

if TYPE_CHECKING:
    from snn_deploy.backends.protocol import Backend


@dataclass(frozen=True)
class Entry:
    """Where the class of a backend is, and the package that it needs."""

    module: str
    name: str
    package: str = ""


BACKENDS = {
    "cpu": Entry("snn_deploy.backends.engine.cpu", "CpuBackend"),
    "reference": Entry("snn_deploy.backends.engine.cpu", "ReferenceBackend"),
    "lava": Entry("snn_deploy.backends.lava.backend", "LavaBackend", "lava"),
}
DEFAULT = "cpu"
CHECK = "lava"  # shares no code with the default, which is compared with it


def open_backend(name: str) -> "Backend":
    """Return the backend called ``name``, importing its package only now."""
    if name not in BACKENDS:
        choices = ", ".join(BACKENDS)
        raise BackendError(f"no backend is called {name!r}; choose from {choices}")
    entry = BACKENDS[name]
    backend: Backend = getattr(import_module(entry.module), entry.name)()
    return backend


def is_installed(name: str) -> bool:
    """Whether the package that a backend needs is there."""
    package = BACKENDS[name].package
    return not package or find_spec(package) is not None
