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

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs
from snn_deploy.training.networks import is_neuron

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


class Rcs:
    """The regularizer, for the neurons in ``model``, whatever runs them.

    It remembers what they do while the model trains; called with the outputs
    ``(n_timesteps, n, n_classes)`` of what ran since the last call, and the labels, it
    returns what to add to the loss. The features of spiking neurons are their spikes
    and what is left of the voltage, as a share of the threshold if positive.
    """

    only_looks = True  # its hooks change nothing, so the model can be saved with them

    def __init__(self, model: nn.Module, *, weight: float, share: float = 0.3) -> None:
        self._weight, self._share = weight, share
        self._seen: dict[nn.Module, list[Tensor]] = {}
        for module in model.modules():
            if is_neuron(module):
                module.register_forward_hook(self._look)

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted penalty of what has run since the last call."""
        turns = self.turns()
        return self._weight * penalty(turns, outputs, labels, self._share)

    def turns(self) -> list[Tensor]:
        """Return the measure of every layer since the last call, ``(n,)`` each."""
        seen, self._seen = self._seen, {}
        return [
            peak_to_rms(torch.cat(values))
            if isinstance(module, Qcfs)
            else inverse_cosine(torch.stack(values), self._share)
            for module, values in seen.items()
        ]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Rcs":
        """Return a regularizer that has seen nothing, for a copy of the model."""
        copied = copy.copy(self)
        copied._seen = {}
        return copied

    def _look(self, module: Any, inputs: Any, result: Any) -> None:
        if not module.training:
            return
        seen = self._seen.setdefault(module, [])
        if isinstance(module, Qcfs):
            seen.append(inputs[0])
        elif isinstance(module, IntegrateAndFire) and len(inputs) == 3:
            seen.extend(_features(module, inputs[0], result[0]))
        elif isinstance(module, IntegrateAndFire):
            output, voltage = result
            seen.append((output + voltage.relu()) / module.threshold)
        else:
            spikes, state = result
            seen.append(spikes + (state.v / module.p.v_th).relu())


def _features(
    module: IntegrateAndFire, currents: Tensor, outputs: Tensor
) -> Iterator[Tensor]:
    """Yield the features of every timestep of neurons that ran for all of them."""
    voltage = module.threshold / 2
    for timestep, output in enumerate(outputs):
        current = currents[min(timestep, len(currents) - 1)]
        voltage = (1 - module.decay) * voltage + current - output
        yield (output + voltage.relu()) / module.threshold
