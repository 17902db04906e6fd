"""Read the layer that brings the spikes of neurons back to them."""

from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.cells import refuse
from snn_deploy.importers.torch.layers import read_layer
from snn_deploy.ir.nodes import Conv2d, Linear


def fed_back(connection: nn.Module, name: str, shape: Shape) -> Linear | Conv2d:
    """Return the layer that brings spikes of neurons of ``shape`` back to them.

    Raises
    ------
    ModelError
        If the module is no such layer.
    """
    if not isinstance(connection, nn.Linear | nn.Conv2d):
        raise refuse(
            name, "the connection", type(connection).__name__, "use Linear or Conv2d"
        )
    layer = read_layer(connection, name, shape)
    assert isinstance(layer, Linear | Conv2d)
    if layer.output_shape != shape:
        raise ModelError(
            f"{name}: leads from {shape} to {layer.output_shape}; it must lead back"
        )
    return layer
