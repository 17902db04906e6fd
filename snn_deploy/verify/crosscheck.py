"""Repeat a few inputs on Lava and require the same answers at every timestep."""

from dataclasses import fields
from importlib.util import find_spec

import numpy as np

from snn_deploy.artifact import Artifact
from snn_deploy.backends.registry import open_backend
from snn_deploy.backends.results import Activity, RunResult
from snn_deploy.cutoff.decision import Cutoff, never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.data.data import Data
from snn_deploy.errors import BackendError


def cross_check(artifact: Artifact, data: Data, cutoff: Cutoff | None, n: int) -> str:
    """Return a sentence on the comparison of the first ``n`` inputs.

    Each runs with the cutoff, if there is one, and for all timesteps.

    Raises
    ------
    BackendError
        If Lava and the cpu backend differ in any output of any timestep.
    """
    if find_spec("lava") is None:
        return "Lava is not installed: the cpu backend runs alone"
    rules: list[Cutoff] = [never] if cutoff is None else [cutoff, never]
    results: dict[str, list[RunResult]] = {}
    for name in ("cpu", "lava"):
        program = open_backend(name).load(artifact.network)
        try:
            results[name] = [
                result
                for rule in rules
                for result in run_inputs(
                    program, artifact.network, data.stimuli(n), rule
                )
            ]
        finally:
            program.close()
    for mine, other in zip(results["cpu"], results["lava"], strict=True):
        same_counts = all(
            np.array_equal(
                getattr(mine.activity, counts.name),
                getattr(other.activity, counts.name),
            )
            for counts in fields(Activity)
        )
        if not (np.array_equal(mine.scores, other.scores) and same_counts):
            raise BackendError(
                f"input {mine.index}: cpu and Lava differ, after {mine.timesteps} and "
                f"{other.timesteps} timesteps; report this with the model"
            )
    n_timesteps = sum(result.timesteps for result in results["lava"])
    return (
        f"cross-checked {min(n, len(data))} inputs on Lava: equal outputs and "
        f"counts at all {n_timesteps} timesteps"
    )
