"""Losses over the outputs of all timesteps, ``(n_timesteps, n, n_classes)``."""

import torch
from torch import Tensor
from torch.nn import functional


def mean_output_loss(
    outputs: Tensor, labels: Tensor, *, smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy of the outputs' mean over time.

    With ``smoothing``, that share of each label goes to all classes alike.
    """
    return functional.cross_entropy(outputs.mean(0), labels, label_smoothing=smoothing)


def tet_loss(
    outputs: Tensor, labels: Tensor, *, mse_weight: float = 0.0, smoothing: float = 0.0
) -> Tensor:
    """Return the loss of temporal efficient training: all timesteps are to be right.

    The mean over time of the cross-entropy, and with weight ``mse_weight`` the squared
    distance of all outputs from 1, which keeps single timesteps from standing out [1]_.

    References
    ----------
    .. [1] S. Deng et al., "Temporal Efficient Training of Spiking Neural Network via
       Gradient Re-weighting", ICLR 2022, equations 10 to 12.
    """
    cross_entropy = _mean_cross_entropy(outputs, labels, smoothing)
    distance = (outputs - 1).square().mean()
    return (1 - mse_weight) * cross_entropy + mse_weight * distance


def running_count_loss(
    outputs: Tensor, labels: Tensor, *, gain: float, smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy of the spike counts so far, averaged over time.

    ``gain`` is the logit that one spike is worth. Since every prefix of the run is
    scored, the answer has to lead early and keep its lead.
    """
    return _mean_cross_entropy(gain * outputs.cumsum(0), labels, smoothing)


def _mean_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return functional.cross_entropy(
        logits.flatten(0, 1),
        torch.tile(labels, (len(logits),)),
        label_smoothing=smoothing,
    )
