"""A penalty on spikes, by what they cost: few spikes where many synapses hear them."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs
from snn_deploy.training.networks import is_neuron


class Activity:
    """The regularizer, for the neurons in ``model``, whatever runs them.

    It remembers what they do while the model trains; called, it returns what to add to
    the loss for what ran since the last call: ``weight`` times what the mean activity
    has beyond ``target``. Activity is the share of neurons that spike in a timestep, of
    a ``Qcfs`` the share of its threshold, in the mean over layers, weighted by the
    synaptic operations that all their spikes would cause: those of the convolutions and
    linear layers that run before the next neurons do.
    """

    only_looks = True  # its hooks change nothing, so the model can be saved with them

    def __init__(self, model: nn.Module, *, target: float, weight: float = 1.0) -> None:
        self._target, self._weight = target, weight
        self._forget()
        for module in model.modules():
            if is_neuron(module):
                module.register_forward_hook(self._look)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(self._count)

    def __call__(
        self, outputs: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Return the weighted penalty of what has run since the last call.

        Outputs and labels change nothing, so that regularizers are called alike.
        """
        return self._weight * (self.mean() - self._target).relu()

    def mean(self) -> Tensor:
        """Return the mean activity since the last call, weighted by its costs."""
        shares, operations = self._shares, self._operations
        self._forget()
        total = sum(operations.values()) or 1  # nobody hears them: nothing to save
        means = (
            torch.stack(found).mean() * (operations.get(module, 0) / total)
            for module, found in shares.items()
        )
        return torch.stack(list(means)).sum()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Activity":
        """Return a regularizer that has seen nothing, for a copy of the model."""
        copied = copy.copy(self)
        copied._forget()
        return copied

    def _forget(self) -> None:
        self._latest: nn.Module | None = None
        self._shares: dict[nn.Module, list[Tensor]] = {}
        self._operations: dict[nn.Module, int] = {}

    def _look(self, module: Any, inputs: Any, result: Any) -> None:
        if not module.training:
            return
        output = result[0] if isinstance(result, tuple) else result
        height: Tensor | float = 1.0
        if isinstance(module, Qcfs | IntegrateAndFire):
            height = module.threshold
        # summed in single precision
        mean = output.mean(dtype=torch.float32) / height
        self._shares.setdefault(module, []).append(mean)
        self._latest = module

    def _count(self, module: Any, inputs: Any, result: Tensor) -> None:
        if self._latest is None or not module.training:
            return  # an input comes as currents, not as spikes
        per_output = module.weight[0].numel()
        known = self._operations.get(self._latest, 0)
        self._operations[self._latest] = known + result.numel() * per_output
