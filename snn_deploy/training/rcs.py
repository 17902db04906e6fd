"""RCS, the regularizer that makes early answers right: straighter features.

Each layer's features at every timestep are to point where they point in the end, so
that the outputs, which add up over time, need not turn [1]_. What the authors' code
does and their text leaves open: the worst input of a batch counts for a layer, and only
inputs that are answered right in the end count at all.

References
----------
.. [1] D. Wu et al., "Optimizing event-driven spiking neural network with regularization
   and cutoff", Front. Neurosci. 19, 2025.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from snn_deploy.training.networks import is_spiking
from snn_deploy.training.neurons import IntegrateAndFire, Qcfs

_TINY = 1e-5  # keeps norms and quotients of silent layers finite


def peak_to_rms(x: Tensor) -> Tensor:
    """Return the largest positive value of each input over the root mean square, (n,).

    For the values ``(n, ...)`` before a rectifier: it bounds from above the inverse of
    the cosine between the spikes of a timestep and the rate. The largest value is that
    of the input itself; the authors' code takes that of the whole batch, so that the
    batch an input is in changes its share.
    """
    positive = x.relu().flatten(1)
    rms = (positive.square().mean(1) + _TINY).sqrt()
    return positive.amax(1) / rms


def inverse_cosine(features: Tensor, share: float) -> Tensor:
    """Return how far the features of each input turn over time, ``(n,)``; 1 if not.

    For features ``(n_timesteps, n, ...)``: the inverse of the cosine to the mean of the
    last ``share`` of the timesteps, a constant for the gradient, averaged over time.
    """
    features = features.flatten(2)
    late = features[-n_late(len(features), share) :].mean(0).detach()
    products = (features * late).sum(2)
    cosines = products / (_norm(features) * _norm(late))
    return 1 / (cosines.mean(0) + _TINY)


def n_late(n_timesteps: int, share: float) -> int:
    """Return how many timesteps the last ``share`` of them is, at least one."""
    return max(1, int(share * n_timesteps))


def _norm(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(-1) + _TINY).sqrt()


def penalty(
    turns: Sequence[Tensor], outputs: Tensor, labels: Tensor, share: float
) -> Tensor:
    """Return the mean over layers of the worst input's measure.

    Parameters
    ----------
    turns : sequence of Tensor, (n,)
        ``peak_to_rms`` or ``inverse_cosine`` of each layer.
    outputs : Tensor, (n_timesteps, n, n_classes)
        Inputs count if each of their last ``share`` of single outputs is right.
    labels : Tensor, (n,)
    share : float
    """
    late = outputs[-n_late(len(outputs), share) :]
    is_right = (late.argmax(-1) == labels).all(0)
    return torch.stack([(is_right * turn).max() for turn in turns]).mean()


@contextmanager
def observe(network: nn.Module, share: float) -> Iterator[list[Tensor]]:
    """Collect the measure of every layer of neurons while the network runs.

    The list is filled when the block is left. The features of spiking neurons are their
    spikes and what is left of the voltage, as a share of the threshold if positive.
    """
    seen: dict[nn.Module, list[Tensor]] = {}
    turns: list[Tensor] = []

    def look(module: Any, inputs: Any, result: Any) -> None:
        if isinstance(module, Qcfs):
            seen.setdefault(module, []).append(inputs[0])
        elif isinstance(module, IntegrateAndFire) and len(inputs) == 3:
            seen.setdefault(module, []).extend(_features(module, inputs[0], result[0]))
        elif isinstance(module, IntegrateAndFire):
            output, voltage = result
            features = (output + voltage.relu()) / module.threshold
            seen.setdefault(module, []).append(features)
        else:
            spikes, state = result
            threshold = module.p.v_th
            rest = (state.v / threshold).relu()
            seen.setdefault(module, []).append(spikes + rest)

    handles = [
        module.register_forward_hook(look)
        for module in network.modules()
        if isinstance(module, Qcfs | IntegrateAndFire)
        or (is_spiking(module) and hasattr(module, "p"))
    ]
    try:
        yield turns
    finally:
        for handle in handles:
            handle.remove()
    for module, values in seen.items():
        if isinstance(module, Qcfs):
            turns.append(peak_to_rms(torch.cat(values)))
        else:
            turns.append(inverse_cosine(torch.stack(values), share))


def _features(
    module: IntegrateAndFire, currents: Tensor, outputs: Tensor
) -> Iterator[Tensor]:
    """Yield the features of every timestep of neurons that ran for all of them."""
    voltage = module.threshold / 2
    for timestep, output in enumerate(outputs):
        current = currents[min(timestep, len(currents) - 1)]
        voltage = (1 - module.decay) * voltage + current - output
        yield (output + voltage.relu()) / module.threshold
