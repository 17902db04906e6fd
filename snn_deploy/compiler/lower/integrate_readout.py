"""Give a linear read-out the neurons that add it up on the chip."""

from dataclasses import replace

import numpy as np

from snn_deploy.errors import PassError
from snn_deploy.ir.graph import Functional, Graph
from snn_deploy.ir.neurons import Integrator, Lif, Neuron


def integrate_readout(graph: Graph) -> Graph:
    """Return the graph with neurons as its output layer.

    A linear read-out whose outputs are summed over time becomes integrators without
    leak: their voltage is the sum, so the host takes the latest one.

    Raises
    ------
    PassError
        If the trained network takes the last or the largest output of a linear layer,
        or the largest number of spikes.
    """
    output, functional = graph.output, graph.training.functional
    if isinstance(output, Lif) and functional is not Functional.SUM:
        raise PassError(
            f"{output.name}: spikes are counted, but the model was saved with "
            f"functional={functional.value!r}; save it with functional='sum'"
        )
    if isinstance(output, Neuron):
        return graph
    if functional is not Functional.SUM:
        raise PassError(
            f"{output.name}: a linear read-out is summed on the chip, but the model "
            f"was saved with functional={functional.value!r}; end it with leaky "
            "integrators"
        )
    integrator = Integrator(
        name=graph.free_name(f"{output.name}_sum"),
        shape=output.output_shape,
        current_decay=np.array(1.0),
        voltage_decay=np.array(0.0),
        input_gain=np.array(1.0),
        bias=np.array(0.0),
        initial_voltage=np.array(0.0),
    )
    training = replace(graph.training, functional=Functional.LAST)
    return replace(graph.append(integrator), training=training)
