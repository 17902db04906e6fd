"""What a training runs on, and whether it is worth compiling for."""

import logging

import torch

from snn_deploy.errors import TrainingError
from snn_deploy.nn.neurons import Qcfs, fuse_loops
from snn_deploy.training.recipes import Recipe

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda")
_MANY_INPUTS = 200_000  # shown in a training: minutes, of which compiling takes one


def find_device(name: str) -> torch.device:
    """Return the device called ``name``, one of ``DEVICES``; ``auto``: a GPU if any.

    Raises
    ------
    TrainingError
        If there is no such device.
    """
    if name not in DEVICES:
        raise TrainingError(f"device is {name!r}; choose from {', '.join(DEVICES)}")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise TrainingError(
            f"device is 'cuda', but torch {torch.__version__} finds no GPU here; "
            "choose cpu, or install a torch that is built for the GPU's driver"
        )
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def is_worth_fusing(recipe: Recipe, n_inputs: int) -> bool:
    """Tell whether the training is so long that ``fuse_loops`` saves time."""
    return sum(phase.epochs for phase in recipe.phases) * n_inputs > _MANY_INPUTS


def can_fuse(device: torch.device) -> bool:
    """Tell whether loops can be compiled for ``device``; log a warning if not."""
    try:
        probe = Qcfs(1, 1.0).to(device)
        fuse_loops(probe)
        probe(torch.ones(8, device=device)).sum().backward()
    except Exception as error:  # torch raises almost anything for want of a compiler
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        logger.warning(
            f"the neurons' loops cannot be compiled for {device.type} ({reason}), so "
            "training takes several times as long; install a C++ compiler (cpu) or "
            "triton (cuda)"
        )
        return False
    return True
