"""Turn the activations of a conventional network into spiking neurons."""

import logging
from dataclasses import replace

import numpy as np

from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Comparison, Lif, Qcfs, Relu, Reset

logger = logging.getLogger(__name__)


def convert_rates(graph: Graph) -> Graph:
    """Return the spiking network whose spike rates stand for the activations.

    A QCFS activation, or a ReLU with its maximum as threshold, becomes neurons without
    leak that start at half their threshold, spike at ``voltage >= threshold`` (the
    activation rounds ties up), are lowered by the threshold, and send spikes worth the
    threshold [1]_. For a constant input the number of spikes in T timesteps is
    ``clip(floor(x T / threshold + 1/2), 0, T)`` exactly; deeper layers see spikes that
    arrive unevenly, so the networks differ.

    References
    ----------
    .. [1] T. Bu et al., "Optimal ANN-SNN conversion for high-accuracy and
       ultra-low-latency spiking neural networks", ICLR 2022.
    """
    activations: tuple[Qcfs | Relu, ...] = (
        *graph.nodes_of(Qcfs),
        *graph.nodes_of(Relu),
    )
    if activations:  # behind this nothing tells that the answer is that of one pass
        graph = replace(graph, training=replace(graph.training, heads=graph.heads))
    for activation in activations:
        graph = graph.replace(activation, by=_neurons(activation))
    logger.info("converted %d activations", len(activations))
    return graph


def _neurons(activation: Qcfs | Relu) -> Lif:
    if isinstance(activation, Relu):
        spike_value = activation.maximum
    else:
        spike_value = activation.threshold
    threshold = np.array(spike_value)
    return Lif(
        name=activation.name,
        shape=activation.shape,
        current_decay=np.array(1.0),
        voltage_decay=np.array(0.0),
        input_gain=np.array(1.0),
        bias=np.array(0.0),
        initial_voltage=threshold / 2,
        threshold=threshold,
        reset=Reset.SOFT,
        reset_amount=threshold,
        comparison=Comparison.GREATER_EQUAL,
        spike_value=spike_value,
        levels=activation.levels if isinstance(activation, Qcfs) else 0,
    )
