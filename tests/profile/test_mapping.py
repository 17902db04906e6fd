"""The goals of the mapping, judged by the whole model of what inputs cost."""

from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target import Cost
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.data.data import Data
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.profile import profile_inputs


def measured(network: MappedNetwork) -> tuple[float, float]:
    """Return the mean energy [J] and latency [s], all timesteps, one by one."""
    x = np.random.default_rng(0).random((3, 1, 28, 28))
    x[x > 0.2] = 0.0  # as many values as a digit has
    data = Data(x=x, y=None, training=network.graph.training)
    rows = profile_inputs(
        pack(network), open_backend("cpu"), data, cutoff=None
    ).fixed_rows
    return float(rows.energy().mean()), float(rows.column("latency_s").mean())


@pytest.mark.parametrize("time_ns", [None, 10, 50])
def test_the_default_is_never_worse_than_few_neurocores(time_ns: float | None) -> None:
    model = load_model(packaged_folder("models") / "mnist_lif" / "model.pt")
    target = read_target("loihi-sim")
    if time_ns is not None:
        time_s = time_ns * 1e-9
        costs = dict(target.costs)
        old = costs.get("injection", Cost(source="test"))
        costs["injection"] = replace(
            old, time_low_s=time_s, time_s=time_s, time_high_s=time_s
        )
        target = replace(target, costs=tuple(costs.items()))

    chosen = compile_model(model, target)
    few = compile_model(model, target, optimize="cores")
    apart = place(partition(chosen.graph, target), target)

    found = measured(chosen)
    for other in (few, apart):
        energy, time = measured(other)
        assert found[0] <= energy
        assert found[1] <= time
