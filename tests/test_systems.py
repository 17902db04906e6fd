"""Systems that are not Linux: what can run there runs, the rest is refused by name."""

import subprocess
import sys
from pathlib import Path

from tests.hostile.readers import READERS

# what Windows has not, as far as a Linux can do without it
LACKING = """
import os, select, signal, socket, sys
for module, names in (
    (os, "fork killpg sched_getaffinity sched_setaffinity wait4 O_NOFOLLOW WIFSIGNALED "
         "WTERMSIG setsid"),
    (signal, "SIGALRM SIGKILL SIGXCPU alarm"),
    (socket, "send_fds recv_fds"),
):
    for name in names.split():
        vars(module).pop(name, None)
import importlib.util
import psutil  # of Linux here, of Windows there
missing, find_spec = ("resource", "lava"), importlib.util.find_spec
sys.modules.update(dict.fromkeys(missing))
importlib.util.find_spec = lambda n, *a: None if n in missing else find_spec(n, *a)
from snn_deploy.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


def without_posix(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", LACKING, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_compiled_network_runs_without_posix(tmp_path: Path) -> None:
    for name in ("model.pt", "data.npz"):
        (tmp_path / name).write_bytes(READERS[name].content)
    path = tmp_path / "m.snn"

    compiled = without_posix("compile", tmp_path / "model.pt", "--target", "loihi-sim",
                             "-o", path)  # fmt: skip
    profiled = without_posix("profile", path, "--data", tmp_path / "data.npz",
                             "--backend", "cpu", "-o", tmp_path / "p")  # fmt: skip

    assert compiled.returncode == 0, compiled.stderr
    assert profiled.returncode == 0, profiled.stderr
    assert (tmp_path / "p" / "summary.json").is_file()


def test_what_needs_a_process_with_limits_is_refused(tmp_path: Path) -> None:
    for name in ("net.nir", "net.onnx", "net.net"):
        path = tmp_path / name
        path.write_bytes(READERS[name].content)

        refused = without_posix("inspect", path)

        assert refused.returncode == 1
        assert refused.stderr.startswith(f"error: {path}: is read in a process with")
        assert refused.stderr.count("\n") == 1


def test_doctor_says_what_a_system_lacks() -> None:
    found = without_posix("doctor")

    assert "note     system: Linux" in found.stdout
    assert "NIR, ONNX and lava-dl files are not read, .pt and .snn are" in found.stdout
    assert " for the engine\n" in found.stdout
    assert found.returncode == 0, found.stderr
