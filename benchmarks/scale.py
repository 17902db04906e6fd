"""How long compiling takes, and how much memory, from MNIST models to 10^8 neurons.

``python -m benchmarks.scale`` measures every network in a process of its own, and
prints a table: seconds of ``compile_model`` (or, for networks of bare shapes, of
retiming, cutting and placing), the largest memory of the process, Python and its
packages included, neurocores and the bound on them, chips, and the hops of all packets
if every neuron spikes once, as a share of those at random and of those layer by layer.
``--bounds`` prints the neurocores of N1, N2, N3 and VGG-16 and the bound on them, for
the simulated chip, whose output axons share its memory, and for one that has at most
as many of them as Loihi 1.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import NETWORKS
from benchmarks.scale_networks import GRAPHS, SIZES, of_size
from snn_deploy.arrays import IntArray
from snn_deploy.chip.target import Board, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.map.loads import Bounds, LoadModel
from snn_deploy.compiler.map.partition import Partition, partition
from snn_deploy.compiler.map.place import place, slots_of, traffic
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph

MODELS = Path(__file__).parent.parent / "models"
SEEDS = range(4)
COLUMNS = (
    "network", "neurons", "weights", "neurocores", "bound", "chips", "seconds",
    "memory [MB]", "hops / random", "hops / layers",
)  # fmt: skip


def simulator() -> Target:
    """Return the simulated chip on a board as large as the largest system, 1152."""
    board = Board(height=36, width=32, source="Hala Point")
    return replace(read_target("loihi-sim"), board=board)


def names() -> list[str]:
    """Return the names of all networks."""
    models = [path.parent.name for path in sorted(MODELS.glob("mnist_*/model.pt"))]
    return [*models, *GRAPHS, *(f"{size:.0e}" for size in SIZES)]


def prepared(name: str) -> Callable[[], MappedNetwork]:
    """Return what compiles the network, which is made or read by then."""
    target = simulator()
    for size in SIZES:
        if name == f"{size:.0e}":
            shapes = of_size(size)
            return lambda: _mapped(shapes, target)
    make = GRAPHS.get(name)
    graph = make() if make else load_model(MODELS / name / "model.pt")
    return lambda: compile_model(graph, target)


def _mapped(graph: QuantizedGraph, target: Target) -> MappedNetwork:
    return place(partition(retime(graph, target), target), target)


def measure(name: str) -> dict[str, Any]:
    """Return the row of one network; memory is that of this process up to now."""
    compile_it = prepared(name)
    start = time.perf_counter()
    network = compile_it()
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    graph, target = network.graph, network.target
    bounds = Bounds(LoadModel(graph=graph, target=target))
    row = {
        "network": name,
        "neurons": sum(p.size for p in graph.populations),
        "weights": sum(p.synapses.weights.size for p in graph.projections),
        "neurocores": len(network.cores),
        "bound": sum(bounds.least(p) for p in graph.populations),
        "chips": network.n_chips,
        "seconds": round(seconds, 2),
        "memory [MB]": round(memory),
    }
    return row | _hops(network)


def _hops(network: MappedNetwork) -> dict[str, float]:
    """Return the hops of all packets as shares of those in other orders."""
    pieces = tuple(piece for core in network.cores for piece in core.pieces)
    ends = np.cumsum([0, *(len(core.pieces) for core in network.cores)])
    groups = tuple(tuple(range(a, b)) for a, b in pairwise(ends))
    cut = Partition(graph=network.graph, cuts={}, pieces=pieces, together=groups)
    packets = traffic(cut).tocoo()

    def hops(places: IntArray) -> float:
        ways = np.abs(places[packets.row] - places[packets.col]).sum(axis=1)
        return float((packets.data * ways).sum())

    here = hops(np.array([(core.x, core.y) for core in network.cores]))
    slots = slots_of(network.target, len(network.cores))
    rows = hops(slots[np.lexsort((slots[:, 1], slots[:, 0]))])
    drawn = [hops(np.random.default_rng(seed).permutation(slots)) for seed in SEEDS]
    return {
        "hops / random": round(here / max(float(np.mean(drawn)), 1), 3),
        "hops / layers": round(here / max(rows, 1), 3),
    }


def bounds(output_axons: int | None) -> None:
    """Print neurocores, and the bound on them, with so many output axons at most."""
    target = simulator()
    limits = replace(target.neurocore, output_axons=output_axons)
    target = replace(target, neurocore=limits)
    vgg = quantize(to_spiking(GRAPHS["VGG-16"]()), target)
    for graph in (*(make() for make in NETWORKS.values()), vgg):
        cut = partition(retime(graph, target), target)
        bound = Bounds(LoadModel(graph=cut.graph, target=target))
        least = sum(bound.least(p) for p in cut.graph.populations)
        n = len(cut.pieces)
        row = (output_axons, graph.name, n, least, f"{n / least:.2f}")
        print(" | ".join(str(item) for item in row), flush=True)


def main(chosen: list[str]) -> None:
    """Print the table, each network measured by a process of its own."""
    print(" | ".join(COLUMNS))
    for name in chosen or names():
        command = [sys.executable, "-m", "benchmarks.scale", "--one", name]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(found.stdout)
        print(" | ".join(str(row[column]) for column in COLUMNS), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
    elif sys.argv[1:2] == ["--bounds"]:
        print("output axons | network | neurocores | bound | ratio")
        for n_axons in (None, 4096):
            bounds(n_axons)
    else:
        main(sys.argv[1:])
