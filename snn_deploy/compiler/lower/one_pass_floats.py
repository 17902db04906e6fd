"""The one-pass twin in floats: what its integers stand for, as ``verify`` asks."""

from dataclasses import replace

from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Integrator, Lif
from snn_deploy.ir.stimuli import Encoding


def one_pass_floats(graph: Graph) -> Graph:
    """Return the network of neurons ``graph`` with its timesteps folded into one.

    Neurons spike up to as often as their activation has levels, each time worth one of
    them. ``one_pass`` does it in integers, and says which networks allow it.
    """
    n = graph.training.timesteps
    for neurons in graph.nodes_of(Lif):
        graph = graph.replace(neurons, by=_in_levels(neurons, neurons.levels or n))
    for readout in graph.nodes_of(Integrator):
        start = readout.initial_voltage / n
        graph = graph.replace(readout, by=replace(readout, initial_voltage=start))
    training = replace(graph.training, timesteps=1, encoding=Encoding.DIRECT)
    return replace(graph, training=training)


def _in_levels(neurons: Lif, levels: int) -> Lif:
    return replace(
        neurons,
        initial_voltage=neurons.initial_voltage / levels,
        threshold=neurons.threshold / levels,
        reset_amount=neurons.reset_amount / levels,
        spike_value=neurons.spike_value / levels,
        max_spikes=neurons.max_spikes * levels,
    )
