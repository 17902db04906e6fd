"""The edges of a NIR network in timesteps: delays, and loops that take one."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.nir.file import Primitives
from snn_deploy.ir.graph import Edge
from snn_deploy.ir.loops import Delays, close_loops

SPIKING = ("LIF", "CubaLIF", "IF", "Threshold")
WEIGHTS = ("Affine", "Linear", "Conv1d", "Conv2d", "Scale")
ROUNDING = 1e-6  # timesteps by which a delay may miss the grid, as floats do


@dataclass(frozen=True, kw_only=True, eq=False)
class Wiring:
    """Edges between nodes that are no delays, and what delays a node's axons."""

    edges: tuple[Edge, ...]
    axon_delays: dict[str, FloatArray]


def wire(network: Primitives, dt: float) -> Wiring:
    """Return the edges of ``network``, delays in timesteps of length ``dt``.

    A delay that is the same for all values belongs to the edges around it; one that
    differs belongs to the axons of the spiking neurons, or the input, before it. A loop
    without a delay of its own takes one timestep, see ``close_loops``.

    Raises
    ------
    ModelError
        If a delay is no whole number of timesteps, or is where the chip has none.
    """
    delays: Delays = dict.fromkeys(network.edges, 0)
    axon_delays: dict[str, FloatArray] = {}
    for name, primitive in network.nodes.items():
        if primitive.kind != "Delay":
            continue
        if name == network.output:
            raise ModelError(
                f"{name}: a delay before the output only shifts the answer; leave it "
                "out, and read the output later"
            )
        steps = _timesteps(name, primitive.array("delay"), dt)
        least = int(steps.min())
        if np.any(steps != least):
            source = _sender(network, delays, name)
            axon_delays[source] = steps - least
        _bridge(delays, name, least)
    weights = [name for name, p in network.nodes.items() if p.kind in WEIGHTS]
    delays = close_loops(delays, network.input, weights)
    return Wiring(
        edges=tuple(
            Edge(source=a, target=b, delay=delay) for (a, b), delay in delays.items()
        ),
        axon_delays=axon_delays,
    )


def _timesteps(name: str, delay: FloatArray, dt: float) -> FloatArray:
    steps: FloatArray = np.rint(delay / dt)
    late = np.abs(delay / dt - steps) > ROUNDING * np.maximum(steps, 1)
    wrong = delay[late | ~np.isfinite(delay) | (delay < 0)]
    if wrong.size:
        raise ModelError(
            f"{name}: a delay of {wrong.flat[0]:g} s is {wrong.flat[0] / dt:g} "
            f"timesteps of {dt:g} s; round it to whole ones"
        )
    return steps


def _sender(network: Primitives, delays: Delays, name: str) -> str:
    """Return the neurons whose axons have the delay called ``name``."""
    sources = [a for a, b in delays if b == name]
    source = network.nodes[sources[0]]
    beside = [b for a, b in delays if a == sources[0] and b != name]
    if len(sources) != 1 or source.kind not in (*SPIKING, "Input") or beside:
        raise ModelError(
            f"{name}: delays that differ need spiking neurons, or the input, before "
            f"them that feed nothing else, but they follow {', '.join(sources)} "
            f"({source.kind}); put them directly behind neurons"
        )
    return source.name


def _bridge(delays: Delays, name: str, steps: int) -> None:
    """Join the edges before and behind a delay."""
    before = [(a, d) for (a, b), d in delays.items() if b == name]
    behind = [(b, d) for (a, b), d in delays.items() if a == name]
    for a, early in before:
        for b, late in behind:
            if (a, b) in delays and delays[a, b] != early + steps + late:
                raise ModelError(
                    f"{name}: {b} receives {a} with and without this delay; put a "
                    "layer of its own on each way"
                )
            delays[a, b] = early + steps + late
    for pair in [pair for pair in delays if name in pair]:
        del delays[pair]
