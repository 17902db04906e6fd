"""Repeat a few inputs on Lava: every spike, current and voltage must be equal."""

from importlib.util import find_spec

import numpy as np

from snn_deploy.artifact import Artifact
from snn_deploy.backends.protocol import QUANTITIES, Recording
from snn_deploy.backends.registry import open_backend
from snn_deploy.data.data import Data
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.verify.result import LavaCheck


def check_lava(
    artifact: Artifact, data: Data, n: int
) -> tuple[LavaCheck | None, tuple[str, ...]]:
    """Return the comparison of the first ``n`` inputs, if there is one, and notes."""
    if n == 0:
        return None, ()
    if find_spec("lava") is None:
        return None, ("Lava is not installed: nothing was compared with it",)
    graph = artifact.network.graph
    n_timesteps = graph.training.timesteps
    programs = [open_backend(name).load(artifact.network) for name in ("cpu", "lava")]
    n_values = 0
    try:
        for index in range(n):
            mine, theirs = (
                p.record(data.stimulus(index), QUANTITIES, n_timesteps=n_timesteps)
                for p in programs
            )
            mismatch = first_mismatch(graph, mine, theirs)
            n_values += sum(values.size for values in mine.values())
            if mismatch:
                mismatch = f"input {index}: {mismatch}"
                break
    finally:
        for program in programs:
            program.close()
    return LavaCheck(n_inputs=index + 1, n_values=n_values, mismatch=mismatch), ()


def first_mismatch(graph: QuantizedGraph, mine: Recording, theirs: Recording) -> str:
    """Return in words where two recordings first differ; empty if nowhere."""
    places = []
    for population in graph.populations:
        for quantity in QUANTITIES:
            a, b = (r[population.name, quantity] for r in (mine, theirs))
            if a.shape != b.shape:
                return f"{population.name}: {len(b)} chip timesteps instead of {len(a)}"
            differs = np.argwhere(a != b)
            if len(differs):
                row, k = (int(i) for i in differs[0])
                neuron = np.unravel_index(k, population.shape)
                text = (
                    f"{population.name}: timestep {row + 1 - population.offset}, "
                    f"neuron {' '.join(str(int(i)) for i in neuron)}: {quantity} is "
                    f"{b[row, k]} on Lava, {a[row, k]} on the cpu"
                )
                places.append((row, text))
    return min(places, key=lambda place: place[0])[1] if places else ""
