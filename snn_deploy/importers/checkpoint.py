"""Read what PyTorch users have lying about: a ``state_dict``, or a pickled module.

Both, and a module that is not trained yet, become a graph as ``snn_deploy.save`` would
write it, compared with the module. A ``state_dict`` is read as tensors only; the
function that builds its module is the user's own code. A pickled module can run any
code: the caller must have asked for it.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.frameworks import rest, states_of
from snn_deploy.importers.model_file import unpickled
from snn_deploy.importers.pytorch import trace
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.spikes import Encoding

INSIDE = ("state_dict", "model_state_dict")  # where trainers put it, beside others


def read_checkpoint(
    path: Path, builder: str, input_shape: Shape, timesteps: int, encoding: str
) -> Graph:
    """Return the network of a ``state_dict`` and of what builds its module.

    Parameters
    ----------
    path : Path
    builder : str
        ``package.module:function``; it takes nothing and returns the module.
    input_shape : tuple of int
        Of one input, without batch and time.
    timesteps : int
        For how many timesteps an input is shown.
    encoding : str
        Of the input; see ``snn_deploy.save``.

    Raises
    ------
    ModelError
        If the file holds something else, does not fit the module, or the module cannot
        be deployed.
    """
    tensors = _tensors(path)
    model = _built(builder)
    _load_into(model, tensors, path, builder)
    return _graph(model, path.stem, input_shape, timesteps, encoding)


def read_builder(
    builder: str, input_shape: Shape, timesteps: int, encoding: str
) -> Graph:
    """Return the network that a function builds, with the weights it has then."""
    name = builder.rpartition(":")[2]
    return _graph(_built(builder), name, input_shape, timesteps, encoding)


def read_pickle(path: Path, input_shape: Shape, timesteps: int, encoding: str) -> Graph:
    """Return the network of a pickled module; unpickling it can run any code."""
    model = unpickled(path, trusts=True)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{path}: holds a {type(model).__name__}, no module; for a state_dict give "
            "--builder package.module:function"
        )
    return _graph(model, path.stem, input_shape, timesteps, encoding)


def _graph(
    model: nn.Module, name: str, input_shape: Shape, timesteps: int, encoding: str
) -> Graph:
    training = Training(timesteps=timesteps, encoding=Encoding(encoding))
    return trace(model, name, input_shape, training, is_balanced=False)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    content = unpickled(path)
    for name in INSIDE:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content:
        raise ModelError(
            f"{path}: holds a {type(content).__name__}, no state_dict; save "
            "model.state_dict()"
        )
    odd = [k for k, v in content.items() if not isinstance(v, torch.Tensor)]
    if odd:
        raise ModelError(
            f"{path}: {odd[0]!r} and {len(odd) - 1} others are no tensors; save "
            "model.state_dict() alone"
        )
    return content


def _built(builder: str) -> nn.Module:
    """Return what the user's function returns; its errors become ours."""
    module_name, _, function_name = builder.partition(":")
    if not module_name or not function_name:
        raise ModelError(f"{builder}: names no function; give package.module:function")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        function: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            function = getattr(function, part)
        model = function()
    except Exception as error:  # the user's code may raise anything
        raise ModelError(
            f"{builder}: {type(error).__name__}: {error}; it must be importable from "
            "here, take nothing and return the module"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{builder}: returns an object of {type(model).__name__}; return the module"
        )
    return model


def _load_into(
    model: nn.Module, tensors: dict[str, torch.Tensor], path: Path, builder: str
) -> None:
    """Load all tensors, none left over on either side, but for states of neurons."""
    rest(model)
    states = states_of(model)
    needed = set(model.state_dict()) - states
    found = set(tensors) - states
    for names, what in ((needed - found, "lacks"), (found - needed, "has more than")):
        if names:
            listed = ", ".join(sorted(names)[:3])
            raise ModelError(
                f"{path}: {what} the module of {builder}: {len(names)} tensors such as "
                f"{listed}; build the module that was trained"
            )
    try:
        model.load_state_dict({k: tensors[k] for k in needed}, strict=False)
    except RuntimeError as error:
        told = str(error).splitlines()[-1].strip()
        raise ModelError(
            f"{path}: does not fit the module of {builder} ({told}); build the module "
            "that was trained"
        ) from error
