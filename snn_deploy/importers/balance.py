"""Give the ReLUs of a conventional network the thresholds of spiking neurons."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Relu
from snn_deploy.ir.stimuli import (
    Encoding,
    Stimulus,
    input_hashes,
    to_gray,
    without_repeats,
)

logger = logging.getLogger(__name__)
BATCH = 32
UNKNOWN = 1e30  # the maximum of a ReLU until it is balanced
PERCENTILE = 99.9  # of the positive activations that lie below the threshold


def needs_balance(graph: Graph) -> tuple[Relu, ...]:
    """Return the ReLUs that have no maximum yet."""
    return tuple(node for node in graph.nodes_of(Relu) if node.maximum >= UNKNOWN)


def balance(graph: Graph, x: AnyArray, percentile: float = PERCENTILE) -> Graph:
    """Return the graph with the maxima of ``measured``, ``x`` noted as used.

    Their hashes are stored, so that no cutoff is calibrated on them.

    Raises
    ------
    ModelError
        As ``measured`` does.
    """
    graph = measured(graph, x, percentile)
    return with_used_inputs(graph, to_gray(np.asarray(x))[0].astype(np.uint8))


def with_used_inputs(graph: Graph, *inputs: AnyArray) -> Graph:
    """Return the network with the hashes of more inputs that it has been made with."""
    is_events = graph.training.encoding is Encoding.EVENTS
    shape, arrays = graph.input.shape, map(np.asarray, inputs)
    hashes = [
        input_hashes(x if is_events else to_gray(without_repeats(x, shape))[0])
        for x in arrays
    ]
    used = np.concatenate([graph.used_inputs, *hashes])
    return replace(graph, used_inputs=np.unique(used))


def measured(
    graph: Graph,
    x: AnyArray,
    percentile: float = PERCENTILE,
    modules: Mapping[str, str] | None = None,
) -> Graph:
    """Return the graph with a maximum for each ReLU, measured on the inputs ``x``.

    The maximum, which becomes the threshold, is a percentile of the positive values,
    since a single outlier would make all others spike rarely [1]_.

    Parameters
    ----------
    graph : Graph
    x : array, (n, input_shape...)
        Bytes, or floats from 0 to 1.
    percentile : float
    modules : mapping, optional
        What each ReLU comes from, by name; those of one module have one maximum.

    Raises
    ------
    ModelError
        If the percentile is none, the inputs do not fit, or a ReLU never gives a
        positive value on them.

    References
    ----------
    .. [1] B. Rueckauer et al., "Conversion of continuous-valued deep networks to
       efficient event-driven networks for image classification", Front. Neurosci. 11,
       2017, section 2.2.2.
    """
    if not 0 < percentile <= 100:
        raise ModelError(f"a percentile of {percentile}; it is over 0 and at most 100")
    relus = needs_balance(graph)
    gray = _gray(x, graph.input.shape)
    if not relus:
        return graph
    stimuli = [Stimulus(values=v[np.newaxis], is_constant=True) for v in gray]
    found = _largest(graph, relus, stimuli, 1 - percentile / 100)
    module_of = {relu.name: (modules or {}).get(relu.name, relu.name) for relu in relus}
    largest: dict[str, float] = {}
    for name, value in found.items():
        largest[module_of[name]] = max(value, largest.get(module_of[name], 0.0))
    for relu in relus:
        if module_of[relu.name] not in largest:
            raise ModelError(
                f"{relu.name}: gives nothing over 0 on the {len(stimuli)} inputs; "
                "balance on other inputs, or remove the layer"
            )
        maximum = largest[module_of[relu.name]]
        graph = graph.replace(relu, replace(relu, maximum=maximum))
    logger.info("balanced %d thresholds on %d inputs", len(relus), len(stimuli))
    return graph


def _gray(x: AnyArray, shape: Shape) -> IntArray:
    """Return inputs as the chip receives them, ``(n, shape...)``."""
    x = np.asarray(x)
    is_line = len(shape) == 3 and shape[1] == 1 and x.shape[1:] == shape[::2]
    if len(x) == 0 or (x.shape[1:] != shape and not is_line):
        raise ModelError(
            f"inputs of shape {x.shape} to balance on; give a batch, (n, "
            f"{', '.join(map(str, shape))})"
        )
    return to_gray(x)[0].reshape(-1, *shape)


def _largest(
    graph: Graph,
    relus: Sequence[Relu],
    stimuli: Sequence[Stimulus],
    share: float,
) -> dict[str, float]:
    """Return the value of each ReLU that ``share`` of its positive ones exceed."""
    as_images = replace(graph.training, encoding=Encoding.DIRECT)  # of the values given
    graph = replace(graph, training=as_images)
    kept: dict[str, FloatArray] = {relu.name: np.zeros(0) for relu in relus}
    n_positive = dict.fromkeys(kept, 0)
    for start in range(0, len(stimuli), BATCH):
        run = FloatRun(graph, stimuli[start : start + BATCH])
        run.step()
        for relu in relus:
            values = run.sent[-1][relu.name]
            positive = values[values > 0]
            n_positive[relu.name] += positive.size
            most = int(share * len(stimuli) * values[0].size) + 1
            both = np.concatenate([kept[relu.name], positive])
            kept[relu.name] = np.sort(both)[-most:]
    return {
        name: float(values[-1 - min(int(share * n_positive[name]), len(values) - 1)])
        for name, values in kept.items()
        if n_positive[name]
    }
