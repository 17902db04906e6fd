"""Repeat a few inputs on Lava and require the same answers at every timestep."""

from importlib.util import find_spec

import numpy as np

from snn_deploy.artifact import Artifact
from snn_deploy.backends import open_backend
from snn_deploy.data import Data
from snn_deploy.errors import BackendError
from snn_deploy.host.cutoff import Cutoff, never
from snn_deploy.host.monitor import run_inputs


def cross_check(artifact: Artifact, data: Data, cutoff: Cutoff | None, n: int) -> str:
    """Return a sentence on the comparison of the first ``n`` inputs.

    Raises
    ------
    BackendError
        If Lava and the cpu backend differ in any output of any timestep.
    """
    if find_spec("lava") is None:
        return "Lava is not installed: the cpu backend runs alone"
    results = {}
    for name in ("cpu", "lava"):
        program = open_backend(name).load(artifact.network)
        try:
            results[name] = list(
                run_inputs(program, artifact.network, data.stimuli(n), cutoff or never)
            )
        finally:
            program.close()
    for mine, other in zip(results["cpu"], results["lava"], strict=True):
        same_counts = np.array_equal(mine.activity.cores, other.activity.cores)
        if not (np.array_equal(mine.scores, other.scores) and same_counts):
            raise BackendError(
                f"input {mine.index}: cpu and Lava differ, after {mine.timesteps} and "
                f"{other.timesteps} timesteps; report this with the model"
            )
    n_timesteps = sum(result.timesteps for result in results["lava"])
    return (
        f"cross-checked {len(results['lava'])} inputs on Lava: equal outputs and "
        f"counts at all {n_timesteps} timesteps"
    )
