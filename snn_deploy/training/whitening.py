"""The fixed first layer of ``recipes.Whitening``, found on the training images."""

import torch
from torch import Tensor, nn

MOST_IMAGES = 5000  # that the correlations are measured on
_LEAST = 5e-4  # added to the variances, so that noise is not blown up


def whiten(layer: nn.Conv2d, pixels: Tensor) -> None:
    """Set the weights of ``layer`` by images ``(n, channels, height, width)``."""
    size = layer.kernel_size[0]
    squares = pixels.double().unfold(2, size, 1).unfold(3, size, 1)
    rows = squares.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
    mean = rows.mean(0)
    variances, components = torch.linalg.eigh(torch.cov(rows.T, correction=0))
    weights = (components / (variances + _LEAST).sqrt()).T
    weights = torch.cat([weights, -weights])
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(weights.view_as(layer.weight))
        layer.bias.copy_(-weights @ mean)
