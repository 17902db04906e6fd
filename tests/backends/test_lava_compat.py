"""lava_compat: Lava imports on every Python, and nothing else changes."""

import multiprocessing
import subprocess
import sys
import warnings

import numpy as np
import pytest

from snn_deploy.backends.lava.compat import forking, import_lava, import_netx
from snn_deploy.errors import BackendError

BEHIND_IMPORT = """
import dataclasses, logging, multiprocessing, sys
from snn_deploy.backends.lava.compat import import_lava

{before}
dataclass, handlers = dataclasses.dataclass, list(logging.getLogger().handlers)
method = multiprocessing.get_start_method(allow_none=True)

import_lava()

assert dataclasses.dataclass is dataclass
assert logging.getLogger().handlers == handlers
assert multiprocessing.get_start_method(allow_none=True) == method
from lava.magma.compiler.var_model import ByteEncoder
from lava.magma.compiler.channel_map import PortPair
{behind}
"""


def run_python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    return done.stdout + done.stderr


def skip_without_lava() -> None:
    try:
        import_lava()
    except BackendError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "before",
    ["", "multiprocessing.set_start_method('spawn')", "multiprocessing.Lock()"],
)
def test_import_leaves_the_program_as_it_was(before: str) -> None:
    skip_without_lava()
    method = "multiprocessing.get_start_method(allow_none=True)"

    printed = run_python(BEHIND_IMPORT.format(before=before, behind=f"print({method})"))

    wanted = {"": "None\n", "multiprocessing.set_start_method('spawn')": "spawn\n"}
    assert printed == wanted.get(before, printed)
    assert "Error" not in printed


def test_only_hashes_that_are_missing_are_given() -> None:
    skip_without_lava()
    behind = (
        "one, other = (PortPair(src=1, dst=2) for _ in range(2))\n"
        "print(hash(one) == hash(other), dataclass(type('Own', (), {})).__hash__)"
    )

    printed = run_python(BEHIND_IMPORT.format(before="", behind=behind))

    assert printed == "True None\n"


def test_missing_lava_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("lava.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lava", None)

    with pytest.raises(
        BackendError,
        match=r"^lava is not installed: pip install .*lava-nc==0\.10\.0.*; or choose "
        "--backend cpu, which computes the same$",
    ):
        import_lava()


def test_missing_package_of_lava_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that it imports today this package needs as well, so none can be missing."""

    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'asteval.x'", name="asteval.x")

    monkeypatch.setattr("importlib.import_module", fail)

    with pytest.raises(
        BackendError,
        match=r"^lava needs asteval, which is not installed: pip install a",
    ):
        import_lava()


def test_forking_is_for_a_while_and_without_warning() -> None:
    before = multiprocessing.get_start_method(allow_none=True)

    with warnings.catch_warnings(), forking():
        inside = multiprocessing.get_start_method(allow_none=True)
        warnings.warn(
            "This process (pid=1) is multi-threaded, use of fork() may lead to "
            "deadlocks in the child.",
            DeprecationWarning,
            stacklevel=1,
        )

    assert inside == "fork"
    assert multiprocessing.get_start_method(allow_none=True) == before


def test_missing_lava_dl_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lava.lib.dl.netx.hdf5", None)

    with pytest.raises(BackendError, match=r"netx needs lava.lib.dl.netx.hdf5, which"):
        import_netx()


def test_spikes_of_maps_can_be_put_in_a_row_on_any_numpy() -> None:
    pytest.importorskip("lava.lib.dl.netx")
    import_netx()
    from lava.magma.core.process.ports.ports import ReshapePort

    flat = ReshapePort(new_shape=(6,), old_shape=(3, 2)).get_transform_func_fwd()

    assert flat(np.arange(6).reshape(3, 2)).tolist() == [0, 1, 2, 3, 4, 5]
