"""Measure how large the activations of a conventional network get."""

from typing import Any

import numpy as np
import torch
import torch.fx
from torch import nn

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.tracing import layer_of
from snn_deploy.ir.graph import Training
from snn_deploy.ir.stimuli import GRAY_LEVELS, to_gray

SHARE = 0.999  # of the positive activations that lie below the value taken as largest


def is_relu(item: torch.fx.Node, model: nn.Module) -> bool:
    """Return whether a step of a traced forward is a ReLU, module or function."""
    if item.op == "call_module":
        return isinstance(model.get_submodule(str(item.target)), nn.ReLU)
    return item.op != "output" and isinstance(layer_of(item), nn.ReLU)


def largest_activations(
    model: nn.Module,
    graph: torch.fx.Graph,
    x: AnyArray,
    shape: Shape,
    training: Training,
) -> dict[str, float]:
    """Return the largest value of each ReLU on ``x``, by the name of its layer.

    The 99.9th percentile of the positive values, since a single outlier would make all
    others spike rarely [1]_.

    References
    ----------
    .. [1] B. Rueckauer et al., "Conversion of continuous-valued deep networks to
       efficient event-driven networks for image classification", Front. Neurosci. 11,
       2017, section 2.2.2.
    """
    x = np.asarray(x)
    if x.ndim != len(shape) + 1 or x.shape[1:] != shape or len(x) == 0:
        raise ModelError(
            f"example_inputs has shape {x.shape}; give a batch of inputs, (n, "
            f"{', '.join(map(str, shape))})"
        )
    gray, _ = to_gray(x)
    values = gray / GRAY_LEVELS * training.input_scale + training.input_offset
    was_training = model.training
    recorder = _Recorder(model, graph)
    model.eval()
    try:
        with torch.no_grad():
            recorder.run(torch.as_tensor(values, dtype=torch.float32))
    finally:
        model.train(was_training)
    return recorder.largest


class _Recorder(torch.fx.Interpreter):
    """Runs a traced forward and looks at what each ReLU gives."""

    def __init__(self, model: nn.Module, graph: torch.fx.Graph) -> None:
        super().__init__(torch.fx.GraphModule(model, graph))
        self.model = model
        self.largest: dict[str, float] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if is_relu(n, self.model):
            positive = result[result > 0].double().numpy()
            name = str(n.target) if n.op == "call_module" else n.name
            if positive.size:
                largest = np.quantile(positive, SHARE, method="higher")
                before = self.largest.get(name, 0.0)  # of a module that serves twice
                self.largest[name] = max(before, float(largest))
        return result
