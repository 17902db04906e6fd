"""Import and start Lava on Pythons that it was not written for.

lava-nc 0.10.0 declares Python 3.10 only. One thing stops it on 3.11 and later: a
dataclass of its ``var_model`` uses an instance of another dataclass as a default, which
has to be hashable there. While Lava is imported, those of its dataclasses that have no
hash get that of their identity.

Lava also sets the start method of ``multiprocessing`` for the whole program. It needs
``fork`` while its processes start; before and behind that the program's choice stands.
"""

import dataclasses
import importlib
import multiprocessing
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.errors import BackendError

# between them they import every module of Lava that a run needs
MODULES = (
    "lava.magma.compiler.compiler",
    "lava.magma.core.decorator",
    "lava.magma.core.model.py.model",
    "lava.magma.core.process.process",
    "lava.magma.core.run_conditions",
    "lava.magma.core.run_configs",
    "lava.magma.core.sync.protocols.loihi_protocol",
    "lava.magma.runtime.runtime",
)


def import_lava() -> None:
    """Import Lava, or say what to do.

    Raises
    ------
    BackendError
        If Lava, or a package that it needs, is not installed, or the system cannot
        fork.
    """
    if sys.platform == "win32":
        raise BackendError(
            "lava needs a system that forks processes, which Windows does not; choose "
            "--backend cpu, which computes the same"
        )
    try:
        import_modules()
    except ModuleNotFoundError as error:
        raise BackendError(_remedy(error.name or "lava")) from None


def import_modules() -> None:
    """Import Lava's modules; from then on ``import lava...`` works anywhere."""
    with _hashable_dataclasses(), _start_method(None):
        for module in MODULES:
            importlib.import_module(module)


def import_netx() -> Any:
    """Return lava-dl's ``netx.hdf5.Network``, which runs ``.net`` files with Lava.

    It imports lava-dl's module of object detection, which needs OpenCV and torchvision
    and does nothing here. Where Lava reshapes spikes it uses a name of NumPy's that is
    gone since 2.4; ``flatten`` needs it.

    Raises
    ------
    BackendError
        If Lava or lava-dl is not installed.
    """
    import_lava()
    detection = "lava.lib.dl.slayer.object_detection"
    sys.modules.setdefault(detection, types.ModuleType(detection))
    ports = importlib.import_module("lava.magma.core.process.ports.ports")
    ports.ReshapePort.get_transform_func_fwd = _reshaping
    try:
        with _hashable_dataclasses():
            return importlib.import_module("lava.lib.dl.netx.hdf5").Network
    except ModuleNotFoundError as error:
        raise BackendError(
            f"netx needs {error.name}, which is not installed: pip install --no-deps "
            "--ignore-requires-python lava-dl, and torch"
        ) from None


def _reshaping(port: Any) -> Callable[[AnyArray], AnyArray]:
    return partial(_reshaped, port.shape)


def _reshaped(shape: Shape, data: AnyArray) -> AnyArray:
    return data.reshape(shape)


def _remedy(missing: str) -> str:
    package = missing.partition(".")[0]
    if sys.version_info < (3, 11):
        install = "pip install lava-nc==0.10.0"
    else:
        install = (
            "pip install --no-deps --ignore-requires-python lava-nc==0.10.0 asteval"
        )
    if package == "lava":
        return (
            f"lava is not installed: {install}; or choose --backend cpu, which "
            "computes the same"
        )
    return (
        f"lava needs {package}, which is not installed: pip install {package}; or "
        "choose --backend cpu, which computes the same"
    )


@contextmanager
def forking() -> Iterator[None]:
    """Let ``multiprocessing`` fork while Lava starts.

    Two warnings that users cannot act upon are not shown: Python's about threads, and
    that of NetworkX 2, whose graphs Lava compiles, about a missing Pandas.
    """
    with _start_method("fork"), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "This process .* is multi-threaded", DeprecationWarning
        )
        warnings.filterwarnings("ignore", "pandas not found", ImportWarning)
        yield


@contextmanager
def _hashable_dataclasses() -> Iterator[None]:
    original = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        decorate: Callable[[type], type] = original(**options)

        def with_hash(of: type) -> type:
            made = decorate(of)
            if made.__module__.startswith("lava.") and made.__hash__ is None:
                made.__hash__ = object.__hash__
            return made

        return with_hash if cls is None else with_hash(cls)

    dataclasses.dataclass = dataclass
    try:
        yield
    finally:
        dataclasses.dataclass = original


@contextmanager
def _start_method(name: str | None) -> Iterator[None]:
    """Set how ``multiprocessing`` starts processes; ``None`` is as yet undecided."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(name, force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(before, force=True)
