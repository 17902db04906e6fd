"""Measure which share of the machine's event limit a convolution reaches.

    python -m benchmarks.limit

The limit is that of ``limit.cpp``, which a C++ compiler builds for this processor. A
convolution's time is that of a network with it less that of the same network without
it, sums, neuron updates and spikes included.
"""

import json
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.networks import TIMESTEPS, dense_network
from snn_deploy.arrays import IntArray
from snn_deploy.backends.engine.compiled import EngineInput, available
from snn_deploy.backends.engine.layout import Layout
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import Projection, QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses

ACTIVITY = 0.15
PERIOD = 20  # timesteps in which a neuron spikes ACTIVITY * PERIOD times
LAYERS = ((64, 32), (128, 16), (256, 8))  # channels in and out, height and width
N_INPUTS, N_ROUNDS = 8, 15


def measure() -> dict[str, float]:
    """Return the limit [events per second] and the share of it of each convolution."""
    limit = event_limit()
    found = {"limit": limit}
    for channels, size in LAYERS:
        name = f"conv {channels}x{size}x{size}->{channels}"
        found[name] = conv_rate(channels, size) / limit
    return found


def event_limit() -> float:
    """Return how many synaptic events a thread adds per second at best."""
    source = Path(__file__).with_name("limit.cpp")
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "limit")
        flags = ["-O3", "-march=native", "-std=c++17"]
        subprocess.run(["c++", *flags, "-o", program, str(source)], check=True)
        return float(subprocess.run([program], check=True, capture_output=True).stdout)


def conv_rate(channels: int, size: int) -> float:
    """Return the events per second of a convolution that keeps the size."""
    sender = _sender(channels, size)
    weights = 2 * np.random.default_rng(0).integers(-60, 61, (channels, channels, 3, 3))
    synapses = ConvSynapses(
        weights=weights, stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1
    )
    target = replace(
        sender.populations[0],
        name="conv",
        bias_mantissa=np.array(0),
        reset=Reset.HARD,
        voltage_decay=np.array(409),
        threshold=np.array(1000),
        initial_voltage=np.array(0),
    )
    link = Projection(
        name="link", source="sender", target="conv", synapses=synapses, exponent=0
    )
    with_conv = replace(
        sender,
        populations=(*sender.populations, target),
        projections=(*sender.projections, link),
    )
    without = _times(sender)
    seconds = _times(with_conv) - without
    n_synapses = int(synapses.fan_outs(target.shape).sum())
    return ACTIVITY * n_synapses / seconds


def _sender(channels: int, size: int) -> QuantizedGraph:
    """Return neurons that spike by themselves, and a small output beside them."""
    graph = dense_network(1, 1)
    shape = (channels, size, size)
    start = np.random.default_rng(1).integers(0, PERIOD, shape)
    step = round(ACTIVITY * PERIOD) << 6  # of a threshold of PERIOD << 6
    sender = replace(
        graph.populations[0],
        name="sender",
        shape=shape,
        voltage_decay=np.array(0),
        bias_mantissa=np.array(step),
        threshold=np.array(PERIOD - 1),
        reset=Reset.SOFT,
        reset_amount=np.array(PERIOD << 6),
        initial_voltage=(start << 6).reshape(shape),
    )
    return replace(graph, populations=(sender, *graph.populations))


def _times(graph: QuantizedGraph) -> float:
    """Return the shortest time of an input's timestep [s]."""
    network = Layout(graph).network
    values: IntArray = np.zeros((TIMESTEPS, 1), np.int32)
    inputs: list[EngineInput] = [(values, False, None)] * N_INPUTS
    never = np.full(TIMESTEPS, np.inf)
    best = np.inf
    for _ in range(N_ROUNDS):
        start = time.thread_time()
        network.run(inputs, never, 1, None, available()[0])
        best = min(best, time.thread_time() - start)
    return float(best) / (N_INPUTS * TIMESTEPS)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
