"""``model.pt``: a traced network as JSON and tensors; no code, no pickled objects."""

import hashlib
import io
import json
import operator
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import AnyArray
from snn_deploy.errors import ModelError, SnnDeployError
from snn_deploy.files.tensors import check_integrity, check_objects
from snn_deploy.files.writing import write_whole
from snn_deploy.importers.balance import with_used_inputs
from snn_deploy.importers.byte_weights import (
    SCALES,
    from_integers,
    integers_and_scales,
)
from snn_deploy.importers.options import DEFAULT_ENCODING, NO_OPTIONS, ReadOptions
from snn_deploy.importers.torch.frameworks.declared import Declarations, declare
from snn_deploy.importers.torch.frameworks.registry import copied
from snn_deploy.importers.torch.given import (
    Factors,
    Inputs,
    Range,
    Shapes,
    given_input,
)
from snn_deploy.importers.torch.module import MEAN, trace, unwrapped
from snn_deploy.importers.torch.several import HeadsTold, OneOutput
from snn_deploy.ir.codec import CodecError, decode, encode
from snn_deploy.ir.graph import Functional, Graph, Training
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.names import shown

FORMAT = "snn-deploy model"
DEFAULT_FUNCTIONAL = "sum"
VERSIONS = (1, 2, 3)  # read; the last one is written
# what a description raises that a program other than this one has written
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    CodecError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def save(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    input_shape: Shapes,
    timesteps: int | None = None,
    encoding: str | None = None,
    input_scale: Factors | Mapping[str, Factors] = 1.0,
    input_offset: Factors | Mapping[str, Factors] = 0.0,
    dt: float | None = None,
    functional: str | None = None,
    example_inputs: Inputs | None = None,
    training_inputs: Inputs | None = None,
    largest_count: int = 1,
    input_range: Range | Mapping[str, Range] = (0.0, 1.0),
    neurons: Declarations | None = None,
    heads: HeadsTold | None = None,
) -> Graph:
    """Write a trained module to ``path``, in the form that ``compile`` reads.

    Parameters
    ----------
    model : nn.Module
        Its forward is one timestep of ``(batch, input_shape...)``, which may take and
        return states; or goes through all timesteps itself, of one input, or of one
        with an axis of time, first, second or last. It may lie on a GPU, or in
        ``nn.DataParallel`` or ``torch.compile``.
    path : path
        Where to write; ends in ``.pt``. The network is called like the file, or like
        its folder if the file is called ``model.pt``.
    input_shape : tuple of int, int, or dict of them
        The shape of one input, without batch and time: ``(1, 28, 28)``; or the number
        of values in a row. Where forward takes several, the shape of each, by the name
        that data have for it: ``{"image": (1, 28, 28), "sound": 64}``, in the order of
        forward's arguments or by their names; or the shapes alone, named as forward
        does. What is said of inputs below may then be a dict by these names.
    timesteps : int, optional
        For how many timesteps an input is shown; not needed if forward says it.
    encoding : {"direct", "rate", "events"}
        Values, the same at every timestep or not; Bernoulli spikes; recorded spikes.
        Direct, if forward does not draw spikes itself.
    input_scale, input_offset : float, or sequence of float
        The model takes ``x * input_scale + input_offset`` of the data; one of
        each, or one for each channel. ``Normalize(mean, std)`` of torchvision is
        ``input_scale=1 / std, input_offset=-mean / std``.
    dt : float, optional
        Length of a timestep [s].
    functional : {"sum", "mean", "last", "max"}
        How the outputs of the timesteps become the answer: as forward does it, or as
        their sum; as their mean, where the network is a conventional one. Sum and mean
        have the same largest output, and values in other units.
    example_inputs : array, (n, input_shape...), optional
        Data from 0 to 1, or bytes, on which the largest values of ``nn.ReLU`` are
        measured: they become the thresholds of spiking neurons.
    training_inputs : array, (n, ...), optional
        Data that the model was trained on, in the form of the calibration data. Their
        hashes are stored: a promise on them would not hold, so ``calibrate`` refuses
        these inputs, and those of ``example_inputs``.
    largest_count : int
        ``"events"``: the most of one timestep and position, up to 255, where data are
        frames of counts; the chip receives them as graded spikes.
    input_range : (float, float)
        ``"direct"``: from what to what the values of the data reach, those of training
        and later ones, if not from 0 to 1: ``(-1, 1)``. They are rounded to 256 levels
        in between, which bytes, with a sign or without, name themselves.
    neurons : dict, optional
        What neurons of your own are, by their type, where they are not recognized:
        ``{LIFSpike: dict(decay=0.5, threshold=1.0, reset="hard", comparison=">")}``, or
        a function that returns this for a module. ``decay`` is the share of the voltage
        that a timestep loses; ``reset`` is ``"hard"`` (to 0) or ``"soft"`` (by
        ``reset_amount``, else the threshold). Further settings, with what they are
        otherwise: ``current_decay`` (1: no current), ``input_gain`` (1), ``bias``,
        ``initial_voltage``, ``refractory`` (0), ``spike_value`` (1). Every one is a
        number, or an array that broadcasts against the neurons. ``time_axis`` is where
        a module that takes all timesteps has them: 0, or 1 behind the batch.
    heads : sequence of str, or dict, optional
        The names of the outputs, where forward returns several, a tuple or a dict:
        ``["digit", "angle"]``; or what each gives: ``{"digit": "class", "angle":
        "values"}``, else values if it is one number. Data hold labels or values by
        these names; the first answers, unless another is asked.

    Returns
    -------
    Graph
        The network as it was understood.

    Raises
    ------
    ModelError
        If a layer or a parameter cannot be deployed, or the module computes something
        else than its layers say (it is run for a few timesteps to compare).
    """
    path = Path(path)
    if path.suffix not in (".pt", ".pth"):
        raise ModelError(f"{path}: models end in .pt; choose such a name")
    graph = read_module(
        model,
        path.absolute().parent.name if path.stem == "model" else path.stem,
        input_shape=input_shape,
        timesteps=timesteps,
        encoding=encoding,
        input_scale=input_scale,
        input_offset=input_offset,
        dt=dt,
        functional=functional,
        example_inputs=example_inputs,
        training_inputs=training_inputs,
        largest_count=largest_count,
        input_range=input_range,
        neurons=neurons,
        heads=heads,
    )
    write_model(graph, path)
    return graph


def read_module(
    model: nn.Module,
    name: str,
    *,
    input_shape: Shapes,
    timesteps: int | None = None,
    encoding: str | None = None,
    input_scale: Factors | Mapping[str, Factors] = 1.0,
    input_offset: Factors | Mapping[str, Factors] = 0.0,
    dt: float | None = None,
    functional: str | None = None,
    example_inputs: Inputs | None = None,
    training_inputs: Inputs | None = None,
    largest_count: int = 1,
    input_range: Range | Mapping[str, Range] = (0.0, 1.0),
    neurons: Declarations | None = None,
    heads: HeadsTold | None = None,
) -> Graph:
    """Return the network called ``name`` that ``save`` would write; see there."""
    told = {"timesteps": timesteps, "encoding": encoding, "functional": functional}
    if isinstance(model, type):
        raise ModelError(
            f"{model.__name__} is a class; give what it makes, {model.__name__}()"
        )
    model = unwrapped(model)
    given = given_input(model, input_shape, input_scale, input_offset, input_range)
    scale, offset = given.gain, given.offset
    is_each = scale.size > 1 or offset.size > 1
    is_mean = True if functional == MEAN else None if functional is None else False
    training = Training(
        timesteps=1 if timesteps is None else operator.index(timesteps),
        encoding=_member(Encoding, encoding or DEFAULT_ENCODING, "encoding"),
        input_scale=1.0 if is_each else scale.item(),
        input_offset=0.0 if is_each else offset.item(),
        dt=None if dt is None else float(dt),
        functional=_functional(functional or DEFAULT_FUNCTIONAL),
        largest_count=operator.index(largest_count),
        input_low=given.low,
        input_high=given.high,
        inputs=given.inputs,
    )
    used = {"example_inputs": example_inputs, "training_inputs": training_inputs}
    is_events = training.encoding is Encoding.EVENTS
    shares = {
        name: given.shares(name, x, is_events=is_events)
        for name, x in used.items()
        if x is not None
    }
    one = None if heads is None else OneOutput(model, heads)
    if one is not None:
        model = one.module
    if neurons is not None:
        model = copied(model)
        declare(model, neurons)
    graph = trace(
        model,
        shown(name),
        given.shape,
        training,
        shares.get("example_inputs"),
        factors=(scale, offset) if is_each else None,
        given=[option for option, value in told.items() if value is not None],
        is_mean=is_mean,
    )
    if one is not None:
        graph = one.named(graph)
    elif len(graph.heads) > 1:
        raise ModelError(
            f"forward joins {len(graph.heads)} outputs of different units; return them "
            "as a tuple, and give their names: heads=['class', 'place']"
        )
    return with_used_inputs(graph, *shares.values())


def _functional(functional: str) -> Functional:
    allowed = [*(member.value for member in Functional), MEAN]
    if functional not in allowed:
        raise ModelError(
            f"functional is {functional!r}; choose from {', '.join(allowed)}"
        )
    return Functional.SUM if functional == MEAN else Functional(functional)


def write_model(graph: Graph, path: Path) -> None:
    """Write a network to ``path``, whole or not at all.

    Raises
    ------
    ModelError
        If it could not be read again.
    """
    tensors: dict[str, AnyArray] = {}
    text = json.dumps(encode(graph, tensors), sort_keys=True)
    try:
        decode(Graph, json.loads(text), tensors)
    except CodecError as error:
        raise ModelError(
            f"{path}: a layer has a value of another type than it is for ({error}); "
            "give it one of that type"
        ) from error
    stored = {
        f"{name}{suffix}": torch.from_numpy(part)
        for name, array in sorted(tensors.items())
        for suffix, part in _parts(array).items()
    }
    content = {
        "format": FORMAT,
        "version": VERSIONS[-1],
        "graph": text,
        "tensors": stored,
        "sha256": _sha256(text, stored),
    }
    packed = io.BytesIO()  # torch would hide a full disk behind a RuntimeError
    torch.save(content, packed)
    write_whole(path, lambda temporary: _write_bytes(temporary, packed.getvalue()))


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _member(kind: Any, value: str, name: str) -> Any:
    allowed = [member.value for member in kind]
    if value not in allowed:
        raise ModelError(f"{name} is {value!r}; choose from {', '.join(allowed)}")
    return kind(value)


def _parts(array: AnyArray) -> dict[str, AnyArray]:
    """Return what is stored of an array, by what is added to its name."""
    if array.ndim > 1 and array.size:
        found = integers_and_scales(array)
        if found is not None:
            integers, scales = found
            return {"": integers, SCALES: scales}
    return {"": array.astype(_smallest(array))}


def _smallest(array: AnyArray) -> type[np.floating[Any]]:
    """Return ``float32`` if it holds the values exactly, as trained ones are."""
    exact = np.array_equal(array.astype(np.float32).astype(np.float64), array)
    return np.float32 if exact else np.float64


def read_model(path: Path, options: ReadOptions = NO_OPTIONS) -> Graph:
    """Return the network that ``save`` wrote to ``path``, which needs no options.

    Raises
    ------
    ModelError
        If the file is missing or is not such a network. Code in it is never run.
    """
    content = _load(path)
    try:
        if content["version"] not in VERSIONS:
            raise ModelError(
                f"{path}: format version {content['version']}, this program reads "
                f"{', '.join(map(str, VERSIONS))}; save the model again"
            )
        text, stored = content["graph"], content["tensors"]
        for name, tensor in stored.items():
            _check_size(name, tensor)
        if content["sha256"] != _sha256(text, stored):
            raise ValueError("its checksum is another")
        tensors = {
            name: _whole(tensor, stored.get(f"{name}{SCALES}"))
            for name, tensor in stored.items()
            if not name.endswith(SCALES)
        }
        graph = decode(Graph, json.loads(text), tensors)
    except SnnDeployError as error:
        raise ModelError(f"{path}: {error}") from error
    except _DAMAGED as error:
        raise ModelError(
            f"{path}: the description of the network is damaged ({error}); save the "
            "model again with snn_deploy.save"
        ) from error
    told = options.input_range or graph.training.input_range
    if tuple(told) != graph.training.input_range:
        raise ModelError(
            f"{path}: was saved for data from {graph.training.input_low:g} to "
            f"{graph.training.input_high:g}; save it again with input_range={told}"
        )
    known = graph.training.largest_count
    if options.largest_count not in (None, known):
        raise ModelError(
            f"{path}: was saved for counts up to {known}; save it again with "
            f"largest_count={options.largest_count}"
        )
    return graph


def _whole(tensor: torch.Tensor, scales: torch.Tensor | None) -> AnyArray:
    if scales is None:
        return tensor.double().numpy()
    return from_integers(tensor.numpy(), scales.numpy())


def _sha256(text: str, tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def unpickled(path: Path, *, trusts: bool = False) -> Any:
    """Return what ``torch.save`` wrote; Python objects in it only if you trust them.

    Raises
    ------
    ModelError
        If there is no such file, it is damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    try:
        check_integrity(path)
        if not trusts:
            check_objects(path)
        with warnings.catch_warnings():  # of a file that is refused anyway
            warnings.simplefilter("ignore")
            return torch.load(path, weights_only=not trusts, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: holds Python objects, which could run code; save the model with "
            "snn_deploy.save(model, path, ...), or its state_dict, or trust the file "
            "with --trust-pickle"
        ) from error
    except zipfile.BadZipFile as error:
        raise ModelError(
            f"{path}: not a model, or cut short ({error}); save it again with "
            "snn_deploy.save(model, path, ...)"
        ) from error
    except Exception as error:  # torch's unpickler, and code, raise almost anything
        if missing := _missing(error):
            raise ModelError(
                f"{path}: needs {missing}, which cannot be imported here; add the "
                "folder of its code to PYTHONPATH, or give a function that builds the "
                "module, --builder package.module:function"
            ) from error
        raise ModelError(
            f"{path}: not a model, or cut short ({type(error).__name__}); save it "
            "again with snn_deploy.save(model, path, ...)"
        ) from error


def _missing(error: Exception) -> str:
    """Return what code a pickle lacks, if that is the error; else nothing."""
    if isinstance(error, ImportError) and error.name:
        return f"the module {shown(error.name)}"
    found = re.match(r"Can't get attribute '(.+)' on <module '([^']+)'", str(error))
    return f"{shown(found[1])} of the module {shown(found[2])}" if found else ""


def _load(path: Path) -> dict[str, Any]:
    content = unpickled(path)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return content
    if isinstance(content, dict) and content:
        raise ModelError(
            f"{path}: a bare state_dict has no layers; name the function that builds "
            "the module, --builder package.module:function, or save it with "
            "snn_deploy.save(model, path, ...)"
        )
    raise ModelError(
        f"{path}: not a model; save it with snn_deploy.save(model, path, ...)"
    )


def _check_size(name: str, tensor: torch.Tensor) -> None:
    """Raise an error if a tensor declares to be larger than what is stored of it."""
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"{name}: {tuple(tensor.shape)} is more than is stored")
