"""Read a PyTorch module: its forward is recorded, and cut into timesteps.

Conventions: the module runs in evaluation mode (batch normalizations use their running
statistics, dropout does nothing). Known layers and neurons of frameworks are taken
whole, by their type, and refused by name if the type or one of their parameters has no
counterpart; every other module is looked into. A row of several channels is a map of
height 1, so that 1d layers are 2d ones.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import AnyArray, FloatArray, IntArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.balance import measured
from snn_deploy.importers.torch.answers import WholeAnswer, end_of
from snn_deploy.importers.torch.assembly import Assembly, is_number
from snn_deploy.importers.torch.check import check_reading
from snn_deploy.importers.torch.collected import Layers
from snn_deploy.importers.torch.forms import Reading, read_forward
from snn_deploy.importers.torch.frameworks.registry import (
    check_answer,
    copied,
    framework_of,
    time_axis,
)
from snn_deploy.importers.torch.meeting import input_scaled
from snn_deploy.importers.torch.record import LAYER
from snn_deploy.importers.torch.taken import Taken
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.heads import Head, heads_of
from snn_deploy.ir.stimuli import Encoding

# what holds a module, by the name it has there
INNER = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "OptimizedModule": "_orig_mod",  # of torch.compile
}
MEAN = "mean"  # of all timesteps, of which the functional is the sum
HAVE_TIME = (2, 4)  # axes of (timesteps, features) and (timesteps, channel, h, w)
LOUDER = 8  # half of the inputs, so that layers that hardly spike do


def trace(
    model: nn.Module,
    name: str,
    input_shape: Shape,
    training: Training,
    example_inputs: AnyArray | None = None,
    *,
    is_balanced: bool = True,
    given: Collection[str] = ("timesteps", "functional"),
    factors: tuple[FloatArray, FloatArray] | None = None,
    is_mean: bool | None = None,
) -> Graph:
    """Return the graph of ``model``, which has been seen to compute the same.

    Parameters
    ----------
    model : nn.Module
        Its forward is one timestep, or goes through all of them: for one input, or for
        one that has an axis of timesteps.
    name : str
        Becomes the graph's name.
    input_shape : tuple of int
        Without batch and time; ``(channel, length)`` becomes ``(channel, 1, length)``.
        Of several inputs (``training.inputs``), the number of all their values.
    training : Training
        What the model was trained for.
    example_inputs : array, (n, input_shape...), optional
        Data on which the largest values of ReLUs are measured.
    is_balanced : bool
        Refuse ReLUs whose largest value is neither known nor measured.
    given : collection of str
        What the user says of ``training``; the rest is what the module says, if it
        does.
    factors : tuple of array, optional
        What each channel of the input is multiplied by, and what is added to it,
        before the model gets it.
    is_mean : bool, optional
        Whether the answer is the mean of all timesteps, of which the functional is the
        sum; as forward does it, or else that of a conventional network is.

    Raises
    ------
    ModelError
        If a layer cannot be deployed, no timestep can be cut out, or the model computes
        something else than its layers say.
    """
    if is_mean is None and any(framework_of(m).takes_mean(m) for m in model.modules()):
        is_mean = True
    needs_maxima = is_balanced and example_inputs is None
    layers = Layers(input_shape, training.inputs, is_balanced=needs_maxima)
    try:
        graph = _checked_graph(model, name, layers, training, given, is_mean)
    except ModelError as error:
        _check_shape(model, name, input_shape, training, is_mean, error)
        path, _, told = str(error).partition(": ")
        if not is_number(path) or path not in dict(model.named_modules()):
            raise
        kind = type(model.get_submodule(path)).__name__
        raise ModelError(f"layer {path}, {kind}: {told}") from error
    if factors is not None:
        graph = input_scaled(graph, *factors)
    if example_inputs is None:
        return graph
    return measured(graph, example_inputs, modules=layers.relus)


def _check_shape(
    model: nn.Module,
    name: str,
    shape: Shape,
    training: Training,
    is_mean: bool | None,
    refused: ModelError,
) -> None:
    """Raise an error if it is but for the timesteps in a shape that it is refused."""
    if len(shape) not in HAVE_TIME:
        return
    n, *rest = shape
    told = replace(training, timesteps=n)
    layers = Layers(tuple(rest), is_balanced=False)
    try:
        _checked_graph(model, name, layers, told, ("timesteps",), is_mean)
    except ModelError:
        return
    raise ModelError(
        f"input_shape is {shape}, and the model takes {tuple(rest)} in each timestep; "
        f"give input_shape={tuple(rest)}, timesteps={n}"
    ) from refused


def _checked_graph(
    model: nn.Module,
    name: str,
    layers: Layers,
    training: Training,
    given: Collection[str],
    is_mean: bool | None,
) -> Graph:
    """Return the graph of ``model``, in ``layers``, compared with it."""
    check_answer(model, training.functional)
    input_shape = layers.given_shape
    axis, framework = time_axis(model)
    ours = copied(model).double().eval()
    values: list[IntArray] = []

    def draw(n: int, n_timesteps: int, still: Sequence[slice]) -> FloatArray:
        drawn = _integers(training, (n, n_timesteps, *input_shape))
        for places in still:
            drawn[:, :, places] = drawn[:, :1, places]
        values.append(drawn)
        return _scaled(drawn, training)

    timesteps = training.timesteps if "timesteps" in given else None
    taken = Taken(shape=input_shape, inputs=training.inputs)
    reading = read_forward(ours, taken, timesteps, axis, framework, draw)
    training = _told(training, reading, given, is_mean=bool(is_mean))
    paths = [path for path, _ in model.named_modules()]
    assembly = Assembly(layers, model.get_submodule, paths)
    last = assembly.add(reading.timestep)
    graph = layers.graph(name, last, training)
    graph = _with_unit(graph, reading, is_mean=is_mean)
    shown = _shown(reading, values[-1])
    check_reading(graph, reading, assembly.names, shown, layers.dropped, framework)
    return graph


def _shown(reading: Reading, values: IntArray) -> IntArray:
    """Return the integers that the graph is given: those of the module's input."""
    if reading.drawn is None:
        return values[:, : reading.inputs.shape[1]]
    row = range(reading.n_timesteps)
    drawn = [reading.numbers(reading.drawn, index) for index in row]
    return np.stack([d for d in drawn if d is not None], axis=1).astype(np.int64)


def _integers(training: Training, shape: Shape) -> IntArray:
    """Return random inputs, half of them larger than data are."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, training.largest_value, shape, endpoint=True)
    values[len(values) // 2 :] *= LOUDER
    return values


def _scaled(values: IntArray, training: Training) -> FloatArray:
    """Return what the module is given for integers."""
    scaled = values / training.encoding.unit * training.input_scale
    scaled = scaled + training.input_offset
    return np.asarray(scaled, dtype=np.float64)


def _looped(reading: Reading) -> str:
    """Return what shows that a forward has all timesteps inside."""
    number = reading.n_timesteps
    for item in reading.timestep.items:
        row = reading.timestep.rows[item]
        if item.operation == LAYER and len({*row.values()}) == number:
            times = f"{number} times, as a loop over timesteps does"
            return f"{item.path}: forward calls this layer {times}"
    return f"forward runs {number} timesteps"


def _with_unit(graph: Graph, reading: Reading, *, is_mean: bool | None) -> Graph:
    """Return the graph, which knows how its outputs become those of the module."""
    heads, answer = graph.heads, reading.answer
    if answer is not None:
        heads = tuple(
            _head_of(
                part, reading.n_timesteps, name, part.n_outputs or heads[0].n_outputs
            )
            for name, part in _named(answer)
        )
    elif is_mean is not None:
        heads = (replace(heads[0], is_mean=is_mean),)
    if heads == graph.heads:
        return graph
    return replace(graph, training=replace(graph.training, heads=heads))


def _named(answer: WholeAnswer) -> list[tuple[str, WholeAnswer]]:
    """Return the heads of an answer, which have numbers where they are several."""
    heads = [(str(i), head) for i, head in enumerate(answer.heads)]
    return heads or [("", answer)]


def _head_of(answer: WholeAnswer, timesteps: int, name: str, n_outputs: int) -> Head:
    (head,) = heads_of((), n_outputs)
    return replace(
        head,
        name=name,
        scale=answer.scale * (timesteps if answer.is_mean else 1),
        is_mean=answer.is_mean,
        dropped=", ".join(map(end_of, answer.ends)),
    )


def _told(
    training: Training, reading: Reading, given: Collection[str], *, is_mean: bool
) -> Training:
    """Return what the module says of its training, where the user does not.

    Raises
    ------
    ModelError
        If the two differ.
    """
    if reading.has_all:
        if "timesteps" in given and training.timesteps != reading.n_timesteps:
            raise ModelError(
                f"{_looped(reading)}; give timesteps={reading.n_timesteps}, not "
                f"{training.timesteps}, or save a module whose forward is one timestep"
            )
        training = replace(training, timesteps=reading.n_timesteps)
    elif "timesteps" not in given:
        raise ModelError(
            "forward does not say for how many timesteps an input is shown; give "
            "timesteps (--timesteps)"
        )
    if reading.drawn is not None:
        if "encoding" in given and training.encoding is not Encoding.RATE:
            raise ModelError(
                f"encoding is {training.encoding.value!r}, but forward draws spikes "
                "from its input; give encoding='rate'"
            )
        training = replace(training, encoding=Encoding.RATE)
    if reading.answer is None:
        return training
    functional = reading.answer.functional
    asked = MEAN if is_mean else training.functional.value
    is_other = training.functional is not functional
    if "functional" in given and (is_other or (is_mean and not reading.answer.is_mean)):
        raise ModelError(
            f"functional is {asked!r}, but forward returns the {functional.value} of "
            f"all timesteps; give functional={functional.value!r}"
        )
    return replace(training, functional=functional)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module that was wrapped, with everything in main memory.

    The module itself where nothing is to be done, else a copy if more than the
    outermost wrapper changes.

    Raises
    ------
    ModelError
        If its tensors have no values, or it is TorchScript.
    """
    model = _innermost(model)
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(
                f"{path or module.original_name}: is TorchScript, whose layers cannot "
                "be seen; give the module that was scripted or traced, or its "
                "state_dict with --builder"
            )
    tensors = [t for module in model.modules() for t in _tensors(module)]
    if any(tensor.is_meta for tensor in tensors):
        raise ModelError(
            f"{type(model).__name__}: has tensors on the device 'meta', which holds no "
            "values; load the trained ones"
        )
    is_elsewhere = any(tensor.device.type != "cpu" for tensor in tensors)
    if is_elsewhere or any(_innermost(m) is not m for m in model.modules()):
        model = copied(model).cpu()
        for module in list(model.modules()):
            _simplify(module)
    return model


def _simplify(module: nn.Module) -> None:
    """Take wrappers off children, bring tensors that are not registered to memory."""
    for name, child in list(module.named_children()):
        setattr(module, name, _innermost(child))
    for name, value in list(vars(module).items()):
        if isinstance(value, torch.Tensor):
            setattr(module, name, value.cpu())


def without_wrappers(name: str) -> str:
    """Return the name of a tensor as it is without any wrapper."""
    return ".".join(p for p in name.split(".") if p not in INNER.values())


def _innermost(module: nn.Module) -> nn.Module:
    """Return what wrappers hold; any other module itself."""
    while type(module).__module__.startswith("torch."):
        name = INNER.get(type(module).__name__)
        if name is None:
            break
        module = getattr(module, name)
    return module


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    """Return the tensors that a module itself holds, registered or not."""
    held = (*module._parameters.values(), *module._buffers.values())
    return [t for t in (*held, *vars(module).values()) if isinstance(t, torch.Tensor)]
