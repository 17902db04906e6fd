"""Lava's fixed-point simulator, with its own processes where these can do it.

Its time is wall time, since every process of Lava is one of the system. It starts anew
in every round, so that nothing of it runs while others are measured.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.cases import Case, multiplications
from benchmarks.contender import AbsentError, Contender, Sample, Setting
from benchmarks.lava_own import is_lavas_own
from benchmarks.ours import accumulated
from snn_deploy.artifact import write_artifact
from snn_deploy.backends.lava.compat import import_lava
from snn_deploy.errors import BackendError

OWN = Setting("lava")
BACKEND = Setting("lava backend")  # the same simulator with processes of snn-deploy
MOST_MULTIPLICATIONS = 700_000_000  # in one round; Lava takes about 10 ns for each
LIMIT_S = 120.0


class PeerError(Exception):
    """A peer that failed, or computed something else."""


def lava_contender(case: Case) -> Contender:
    """Return Lava.

    Raises
    ------
    AbsentError
        If it is not installed.
    """
    try:
        import_lava()
    except BackendError as error:
        raise AbsentError(str(error)) from None
    setting = OWN if is_lavas_own(case.graph) else BACKEND
    return Contender(setting, lambda _: _measure(case))


def _measure(case: Case) -> Sample:
    n = _n_chip_timesteps(case)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_artifact(case.artifact, folder / "model.snn")
        stimulus = case.stimuli[0]
        np.savez(
            folder / "stimulus.npz",
            values=stimulus.values,
            is_constant=stimulus.is_constant,
        )
        files = [str(folder / file) for file in ("model.snn", "stimulus.npz")]
        _run([*files, str(n), str(folder / "out.npz")])
        with np.load(folder / "out.npz") as found:
            seconds, readouts = float(found["seconds"]), found["readouts"]
    scores = accumulated(case.graph, readouts[np.newaxis])[0]
    if not np.array_equal(scores, case.scores[0, : len(scores)]):
        raise PeerError(f"{case.name}: Lava's outputs differ from the engine's")
    return Sample(1e6 * seconds, {"equal timesteps": len(scores)})


def _n_chip_timesteps(case: Case) -> int:
    """Return how many chip timesteps one round of Lava's own processes takes."""
    everything = case.n_timesteps + case.graph.depth
    affordable = MOST_MULTIPLICATIONS // multiplications(case.graph)
    return int(np.clip(affordable, 2 * case.graph.depth, everything))


def _run(arguments: list[str]) -> None:
    """Run Lava; all of its processes end when it fails or hangs."""
    command = [sys.executable, "-m", "benchmarks.lava_run", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        if isinstance(error, subprocess.TimeoutExpired):
            raise PeerError(f"Lava was not done after {LIMIT_S:g} s") from None
        raise
    if process.returncode:
        raise PeerError(f"Lava failed: {output[-2000:]}")
