"""What was run on chips, as far as it is known: what it makes the chip do.

Sizes and activities are those of the originals; where weights and inputs are not
public, they are random here.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.backends.results import Activity
from snn_deploy.chip.events import ACCESS, CHIP_EVENTS, CORE_EVENTS, INJECTION, UPDATE
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.compiler.map.rules import check_rules
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import Projection, QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.ir.synapses import ConvSynapses
from tests.build import RATE, dense, integers, population, rng

LOIHI = read_target("loihi1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """Counts by timestep."""

    cores: IntArray  # (n_timesteps, n_cores, n_core_events)
    chip: IntArray  # (n_timesteps, n_chip_events)
    n_tiles: int


def _on_chip(graph: QuantizedGraph, compartments: int = 1024) -> MappedNetwork:
    limits = replace(LOIHI.neurocore, compartments=compartments)
    target = replace(LOIHI, neurocore=limits)
    network = place(
        partition(replace(graph, precision=LOIHI.precision), target), target
    )
    check_rules(network)
    return network


def _ran(network: MappedNetwork, spikes: AnyArray) -> Activity:
    program = open_backend("cpu").load(network)
    stimulus = Stimulus(values=spikes.astype(np.int32), is_constant=False)
    (result,) = run_inputs(program, network, [(0, stimulus)], never)
    return result.activity


@cache
def query() -> Work:
    """Return a query of Pohoiki Springs, all of it in one timestep of one neurocore.

    76,800 patterns of one neuron, some 700 spikes to all, 60 timesteps.
    """
    n_patterns, n_here, n_spikes, n_timesteps = 76_800, 96, 700, 60
    draw = rng(0)
    weights = draw.integers(-20, 50, (n_here, n_spikes))
    graph = integers(
        [population("patterns", (n_here,), offset=1, spikes=False)],
        [dense("input", "patterns", weights, delay=1)],
        shape=(n_spikes,),
        training=replace(RATE, timesteps=n_timesteps),
    )
    spikes = np.zeros((n_timesteps, n_spikes))
    spikes[draw.integers(0, n_timesteps, n_spikes), np.arange(n_spikes)] = 1
    activity = _ran(_on_chip(graph), spikes)
    total = n_patterns // n_here * activity.cores.sum(axis=(0, 1))  # all are alike
    total[INJECTION] = 0  # one spike for all patterns, not one for each
    none = np.zeros((1, len(CHIP_EVENTS)), np.int64)
    return Work(cores=total[np.newaxis, np.newaxis], chip=none, n_tiles=1)


def _convolution(
    name: str, source: str, target: str, shape: tuple[int, ...]
) -> Projection:
    weights = 2 * rng(len(name)).integers(-30, 50, shape)
    synapses = ConvSynapses(
        weights=weights, stride=(2, 2), padding=(1, 1), dilation=(1, 1), groups=1
    )
    return replace(
        dense(source, target, np.ones((1, 1)), delay=1), name=name, synapses=synapses
    )


@cache
def gestures(compartments: int) -> Work:
    """Return timesteps of a network for gestures, 32 x 32 pixels of an event camera.

    With 64 compartments on a neurocore it fills the chip; with all of them, 9.
    """
    draw = rng(1)
    layers = (
        ("conv1", (16, 16, 16), 250),
        ("conv2", (24, 8, 8), 900),
        ("conv3", (32, 4, 4), 900),
        ("fc", (256,), 1200),
        ("out", (11,), 900),
    )
    populations = [
        population(name, shape, offset=i, threshold=np.array(threshold))
        for i, (name, shape, threshold) in enumerate(layers, start=1)
    ]
    graph = integers(
        populations,
        [
            _convolution("a", "input", "conv1", (16, 2, 3, 3)),
            _convolution("bb", "conv1", "conv2", (24, 16, 3, 3)),
            _convolution("ccc", "conv2", "conv3", (32, 24, 3, 3)),
            dense("conv3", "fc", 2 * draw.integers(-30, 50, (256, 512)), delay=1),
            dense("fc", "out", 2 * draw.integers(-30, 50, (11, 256)), delay=1),
        ],
        shape=(2, 32, 32),
        training=replace(RATE, timesteps=64),
    )
    network = _on_chip(graph, compartments)
    activity = _ran(network, draw.random((64, 2, 32, 32)) < 0.06)
    full = slice(5, 64)  # all layers are at work
    return Work(
        cores=activity.cores[full], chip=activity.chip[full], n_tiles=network.n_tiles
    )


@cache
def keyword() -> Work:
    """Return 10 timesteps of the keyword spotter 390-256-256-29, one of a stream."""
    draw = rng(2)
    sizes = {"one": 256, "two": 256, "out": 29}
    populations = [
        population(name, (n,), offset=i, threshold=np.array(1500))
        for i, (name, n) in enumerate(sizes.items(), start=1)
    ]
    graph = integers(
        populations,
        [
            dense("input", "one", 2 * draw.integers(-40, 50, (256, 390)), delay=1),
            dense("one", "two", 2 * draw.integers(-40, 50, (256, 256)), delay=1),
            dense("two", "out", 2 * draw.integers(-40, 50, (29, 256)), delay=1),
        ],
        shape=(390,),
        training=replace(RATE, timesteps=10),
    )
    network = _on_chip(graph)
    activity = _ran(network, draw.random((10, 390)) < 0.08)
    return Work(cores=activity.cores, chip=activity.chip, n_tiles=network.n_tiles)


def silent(n_neurons: int, n_cores: int) -> Work:
    """Return a timestep of neurons that only compute, as many on each neurocore."""
    cores = np.zeros((1, n_cores, len(CORE_EVENTS)), np.int64)
    cores[..., [ACCESS, UPDATE]] = n_neurons
    none = np.zeros((1, len(CHIP_EVENTS)), np.int64)
    return Work(cores=cores, chip=none, n_tiles=-(-n_cores // 4))


def injected(n_packets: int) -> Work:
    """Return a timestep in which the host sends packets, and nothing else happens."""
    cores = np.zeros((1, 1, len(CORE_EVENTS)), np.int64)
    cores[..., INJECTION] = n_packets
    none = np.zeros((1, len(CHIP_EVENTS)), np.int64)
    return Work(cores=cores, chip=none, n_tiles=1)
