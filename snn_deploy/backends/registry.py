"""The backends by name, each imported when it is asked for."""

from snn_deploy.backends.protocol import Backend
from snn_deploy.errors import BackendError

BACKENDS = ("cpu", "lava")


def open_backend(name: str) -> Backend:
    """Return the backend called ``name``, importing its package only now."""
    match name:
        case "cpu":
            from snn_deploy.backends.engine.cpu import CpuBackend

            return CpuBackend()
        case "reference":
            from snn_deploy.backends.engine.cpu import ReferenceBackend

            return ReferenceBackend()
        case "lava":
            from snn_deploy.backends.lava.backend import LavaBackend

            return LavaBackend()
    choices = ", ".join(BACKENDS)
    raise BackendError(f"no backend is called {name!r}; choose from {choices}")
