"""Read what PyTorch users have lying about: a ``state_dict``, or a pickled module.

Both, and a module that is not trained yet, become a graph as ``snn_deploy.save`` would
write it, compared with the module. A ``state_dict`` is read as tensors only; the
function that builds its module is the user's own code. A pickled module can run any
code: the caller must have asked for it.
"""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snn_deploy.errors import ModelError
from snn_deploy.importers.options import ReadOptions
from snn_deploy.importers.torch.file import unpickled
from snn_deploy.importers.torch.frameworks.registry import (
    optional_of,
    rest,
    states_of,
)
from snn_deploy.importers.torch.given import given_input
from snn_deploy.importers.torch.module import trace, unwrapped, without_wrappers
from snn_deploy.ir.graph import Graph
from snn_deploy.names import shown

DEEPEST = 2  # dictionaries around a state_dict; an optimizer's are deeper

_State = dict[str, torch.Tensor]


def read_module(path: Path | None, options: ReadOptions) -> Graph:
    """Return the network of a ``state_dict`` and its builder, or of a pickled module.

    Parameters
    ----------
    path : Path, optional
        Without, what the builder returns is read, with the weights it has then.
    options : ReadOptions
        ``builder``, or leave to unpickle a module; ``input_shape``, and ``timesteps``
        where forward does not have them inside.

    Raises
    ------
    ModelError
        If an option is missing, the file holds something else or does not fit the
        module, or the module cannot be deployed.
    """
    if path is None and options.builder is None:
        raise ModelError(
            "no model: neither a file nor a function that builds one is given; give "
            "its path, or --builder package.module:function"
        )
    if options.input_shape is None:
        also = " and --timesteps (unless forward has them inside)"
        raise ModelError(
            f"{path or options.builder}: tensors and modules do not say what one input "
            f"is; give --input-shape 1,28,28{'' if options.timesteps else also}"
        )
    training = options.training(timesteps=1)
    builder, name = options.builder, "" if path is None else shown(path.stem)
    if path is None:
        assert builder is not None
        model, name = _built(builder), builder.rpartition(":")[2]
    elif builder is None:
        model = _unpickled(path)
    else:
        model = _loaded(path, builder, trusts=options.trust_pickle)
    told = {"timesteps": options.timesteps, "encoding": options.encoding}
    model = unwrapped(model)
    given = given_input(model, options.input_shape, 1.0, 0.0, (0.0, 1.0))
    return trace(
        model,
        name,
        given.shape,
        replace(training, inputs=given.inputs),
        is_balanced=False,
        given=[what for what, value in told.items() if value is not None],
    )


def _loaded(path: Path, builder: str, *, trusts: bool) -> nn.Module:
    """Return the module that a function builds, with the tensors of a file."""
    content = unpickled(path, trusts=trusts)
    found = _state_dicts(content.state_dict() if _is_module(content) else content)
    if not found:
        raise ModelError(
            f"{path}: {_told(content)}; save model.state_dict(), alone or as 'model'"
        )
    model = _built(builder)
    rest(model)
    named = {key: _named(tensors, model) for key, tensors in found.items()}
    fitting = [key for key, tensors in named.items() if not _misfit(tensors, model)]
    if len(fitting) > 1:
        raise ModelError(
            f"{path}: holds several state_dicts that fit, {', '.join(fitting)}; save "
            "the one that is meant alone"
        )
    names = set(model.state_dict())
    closest = max(named.values(), key=lambda tensors: len(names & set(tensors)))
    _load_into(model, named[fitting[0]] if fitting else closest, path, builder)
    return model


def _unpickled(path: Path) -> nn.Module:
    """Return the module in a file; unpickling it can run any code."""
    content = unpickled(path, trusts=True)
    inside = content.values() if isinstance(content, dict) else [content]
    modules: list[nn.Module] = [item for item in inside if _is_module(item)]
    if len(modules) != 1:
        raise ModelError(
            f"{path}: holds a {type(content).__name__}, {len(modules) or 'no'} "
            f"module{'s' * (len(modules) > 1)}; save one alone, or for a state_dict "
            "give --builder package.module:function"
        )
    return modules[0]


def _is_module(content: object) -> bool:
    return isinstance(content, nn.Module)


def _told(content: object) -> str:
    """Return what is wrong with the content of a file."""
    if not isinstance(content, dict) or not content:
        return f"holds a {type(content).__name__}, no state_dict"
    odd = [k for k, v in content.items() if not isinstance(v, torch.Tensor)]
    return f"{odd[0]!r} and {len(odd) - 1} others are no tensors"


def _state_dicts(content: object, depth: int = 0) -> dict[str, _State]:
    """Return the dictionaries of tensors in what a trainer wrote, by their names.

    It puts them beside numbers, an optimizer and others: as "net", "model_state_dict".
    """
    if not isinstance(content, dict) or not content or depth > DEEPEST:
        return {}
    if all(isinstance(value, torch.Tensor) for value in content.values()):
        return {"": content}
    inside = {str(k): _state_dicts(v, depth + 1) for k, v in content.items()}
    return {
        f"{outer}.{inner}" if inner else outer: found
        for outer, several in inside.items()
        for inner, found in several.items()
    }


def _named(tensors: _State, model: nn.Module) -> _State:
    """Return the tensors by the names that the module gives them, if that can be.

    Wrappers of training put their names between, and trainers one in front of all.
    """
    given = named = {str(name): tensor for name, tensor in tensors.items()}
    while _misfit(named, model):
        bare = {without_wrappers(name): tensor for name, tensor in named.items()}
        if bare.keys() == named.keys():
            heads = {name.partition(".")[0] for name in named}
            bare = {name.partition(".")[2]: tensor for name, tensor in named.items()}
            if len(heads) > 1 or "" in bare:
                return given
        if len(bare) < len(named):
            return given
        named = bare
    return named


def _misfit(tensors: _State, model: nn.Module) -> list[tuple[str, set[str]]]:
    """Return the names that one side has and the other lacks, and which side lacks.

    States of neurons are left out.
    """
    states, names = states_of(model), set(model.state_dict())
    found = set(tensors) - states
    lacking = names - states - found - optional_of(model)
    sides = (("lacks", lacking), ("has more than", found - names))
    return [(side, odd) for side, odd in sides if odd]


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
    return unwrapped(model)


def _load_into(
    model: nn.Module, tensors: dict[str, torch.Tensor], path: Path, builder: str
) -> None:
    """Load all tensors, none left over on either side, but for states of neurons."""
    for side, names in _misfit(tensors, model):
        listed = ", ".join(sorted(names)[:3])
        raise ModelError(
            f"{path}: {side} the module of {builder}: {len(names)} tensors such as "
            f"{listed}; build the module that was trained"
        )
    needed = set(model.state_dict()) - states_of(model)
    loaded = {name: tensors[name] for name in needed & set(tensors)}
    try:
        model.load_state_dict(loaded, strict=False)
    except RuntimeError as error:
        told = str(error).splitlines()[-1].strip()
        raise ModelError(
            f"{path}: does not fit the module of {builder} ({told}); build the module "
            "that was trained"
        ) from error
