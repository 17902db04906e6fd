"""Training for modules of one's own: as a spiking network, and one short loop."""

import copy
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from snn_deploy.errors import ModelError
from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs
from snn_deploy.training.grid import OnGrid

Loss = Callable[[Tensor, Tensor], Tensor]  # of outputs over time, and labels


class Spiking(nn.Module):
    """A module whose ``Qcfs`` are neurons, for all timesteps; see ``as_spiking``."""

    def __init__(self, model: nn.Module, timesteps: int, decay: float) -> None:
        super().__init__()
        self.model, self.timesteps = _with_neurons(model, timesteps, decay), timesteps

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs ``(timesteps, n, ...)`` for inputs ``(n, ...)``."""
        shown = x.expand(self.timesteps, *x.shape).flatten(0, 1)
        outputs: Tensor = self.model(shown)
        return outputs.view(self.timesteps, len(x), *outputs.shape[1:])


class _Neurons(nn.Module):
    """Neurons between layers that see all timesteps as one batch."""

    def __init__(self, neurons: IntegrateAndFire, timesteps: int) -> None:
        super().__init__()
        self.neurons, self.timesteps = neurons, timesteps

    def forward(self, x: Tensor) -> Tensor:
        currents = x.view(self.timesteps, -1, *x.shape[1:])
        outputs: Tensor = self.neurons(currents, None, self.timesteps)[0]
        return outputs.flatten(0, 1)


def as_spiking(model: nn.Module, *, timesteps: int, decay: float = 0.0) -> Spiking:
    """Return the spiking network that ``model`` is converted to, to be trained on.

    Every ``Qcfs``, wherever it is, becomes integrate-and-fire neurons, which lose a
    share ``decay`` of their voltage per timestep; the input is shown at every timestep.
    All other layers see the timesteps as a larger batch, so that nothing in the forward
    of ``model`` may depend on the size of a batch. Both share all parameters and
    statistics: training one trains the other.

    Raises
    ------
    ModelError
        If there is no ``Qcfs`` in ``model``.
    """
    if not any(isinstance(module, Qcfs) for module in model.modules()):
        raise ModelError(
            f"{type(model).__name__}: has no Qcfs that could become spiking neurons; "
            "use snn_deploy's Qcfs for its activations"
        )
    if timesteps < 1:
        raise ModelError(f"timesteps is {timesteps}; give at least 1")
    return Spiking(model, timesteps, decay)


def _with_neurons(model: nn.Module, timesteps: int, decay: float) -> nn.Module:
    shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
    spiking = copy.deepcopy(model, shared)
    if isinstance(spiking, Qcfs):
        return _Neurons(IntegrateAndFire(spiking.threshold, decay), timesteps)
    for module in list(spiking.modules()):
        for name, child in module.named_children():
            if isinstance(child, Qcfs):
                neurons = IntegrateAndFire(child.threshold, decay)
                setattr(module, name, _Neurons(neurons, timesteps))
    return spiking


def train(
    model: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    *,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    epochs: int = 1,
    regularizers: Sequence[Loss] = (),
    grid: OnGrid | None = None,
) -> list[float]:
    """Train ``model`` on the batches of ``loader``, and return each epoch's mean loss.

    Parameters
    ----------
    model : nn.Module
        Gives outputs ``(timesteps, n, classes)``, or ``(n, classes)`` of one timestep.
    loader : iterable of (inputs, labels)
        On the device of the model.
    loss : callable
        Of outputs over time and labels: ``tet_loss``.
    optimizer : torch.optim.Optimizer
    epochs : int
    regularizers : sequence of callable
        ``Rcs`` and ``Activity`` of this model; what they return is added to the loss.
    grid : OnGrid, optional
        The weights are those of its chip when the loss is computed. Batch
        normalizations keep their statistics then.
    """
    losses: list[float] = []
    for _ in range(epochs):
        model.train()
        if grid is not None:
            _keep_statistics(model)
            grid.update()
        total, n_seen = 0.0, 0
        for x, labels in loader:
            with grid or nullcontext():
                outputs = model(x)
                outputs = outputs if outputs.ndim == 3 else outputs.unsqueeze(0)
                value = loss(outputs, labels)
                for regularizer in regularizers:
                    value = value + regularizer(outputs, labels)
                optimizer.zero_grad()
                value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total, n_seen = total + value.item() * len(x), n_seen + len(x)
        losses.append(total / max(n_seen, 1))
    return losses


def _keep_statistics(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()
