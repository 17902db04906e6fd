"""The readers by the ending of a file."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from snn_deploy.errors import ModelError
from snn_deploy.extras import require
from snn_deploy.importers.options import NO_OPTIONS, ReadOptions

if TYPE_CHECKING:
    from snn_deploy.arrays import AnyArray, Shape
    from snn_deploy.ir.graph import Graph
    from snn_deploy.ir.neurons import Reset


class Format(NamedTuple):
    """A form in which models are saved."""

    reader: str  # module and function (path, options) -> Graph, imported when used
    writer: str = ""  # what such files are known by
    needs: tuple[str, ...] = ()  # packages that only an extra brings


FORMATS = {
    ".pt": Format("torch.file:read_model", " (written by snn_deploy.save)", ("torch",)),
    ".pt2": Format("torch.pt2:read_pt2", needs=("torch",)),
    ".nir": Format("nir.reader:read_nir"),
    ".onnx": Format("onnx.reader:read_onnx", needs=("onnx",)),
    ".net": Format("lava_dl.reader:read_lava_dl", " (by lava-dl)"),
}
ALSO = {".pth": ".pt"}
NO_MODELS = {
    ".npz": "holds inputs, no model; give the model, and this file as --data",
    ".snn": "is compiled already; give the model that it was compiled from",
}


def load_model(
    path: str | PathLike[str],
    *,
    dt: float | None = None,
    reset: "Reset | None" = None,
    written_by: str | None = None,
    timesteps: int | None = None,
    balance_on: "AnyArray | Mapping[str, AnyArray] | None" = None,
    percentile: float | None = None,
    builder: str | None = None,
    trust_pickle: bool = False,
    input_shape: "Shape | Mapping[str, Shape] | None" = None,
    encoding: str | None = None,
    largest_count: int | None = None,
    input_range: tuple[float, float] | None = None,
) -> "Graph":
    """Return the trained network in the file at ``path``, read by its ending.

    Parameters
    ----------
    path : path
    dt : float, optional
        Length of a timestep [s], for a format that has none (NIR).
    reset : Reset, optional
        What a spike does to the voltage, for a format that does not say (NIR).
    written_by : {"snntorch"}, optional
        The tool that wrote the file (NIR), where its neurons do what the file does not
        say: those of snnTorch are reset a timestep later.
    timesteps : int, optional
        For how many timesteps an input is shown, in place of what the file says; needed
        where it (lava-dl's own) does not.
    balance_on : array, (n, input_shape...), or dict of them by input, optional
        Bytes, or floats from 0 to 1, or in ``input_range``: training data of a
        conventional network (ONNX), on which the largest values of its ReLUs are
        measured. They become thresholds.
    percentile : float, optional
        Of the positive values that lie below the largest; default 99.9.
    builder : str, optional
        ``package.module:function`` that returns the module which the tensors of a bare
        ``state_dict`` belong to. It is imported and called.
    trust_pickle : bool
        Unpickle a module from a ``.pt`` file, or what lies beside the tensors for a
        ``builder``; it can run any code.
    input_shape : tuple of int, optional
        Of such a module, without batch and time, or a dict of several inputs;
        ``timesteps`` is needed as well.
    encoding : {"direct", "rate", "events", "bias"}, optional
        Of such a module's input or a ``.pt2`` file's, default ``"direct"``; of a
        ``.nir`` or ``.net`` file's that does not say, default ``"events"``, or
        ``"bias"`` where the input layer of a ``.net`` file has neurons.
    largest_count : int, optional
        The most events of one timestep and position, in place of what the file says:
        more than 1 where data are frames of counts.
    input_range : (float, float), optional
        From what to what the values of data reach, if not from 0 to 1; the network
        takes them as they are, rounded to 256 levels in between. ``.pt`` files say it.

    Raises
    ------
    ModelError
        If the format is unknown, or the file cannot be read.
    """
    return load_with(
        path,
        ReadOptions(
            dt=dt,
            reset=reset,
            written_by=written_by,
            timesteps=timesteps,
            balance_on=balance_on,
            percentile=percentile,
            builder=builder,
            trust_pickle=trust_pickle,
            input_shape=input_shape,
            encoding=encoding,
            largest_count=largest_count,
            input_range=input_range,
        ),
    )


def load_with(path: str | PathLike[str], options: ReadOptions) -> "Graph":
    """Return the network that ``load_model`` does, the options in one value."""
    graph = _read(Path(path), options)
    return _balanced(_shown_for(graph, options), options)


def load_shapes(
    path: str | PathLike[str] | None, options: ReadOptions = NO_OPTIONS
) -> "Graph":
    """Return a network of which only the layers and their shapes need to be right.

    Without a file it is what the ``builder`` returns, as it stands. Thresholds of
    ReLUs, and timesteps, that are unknown are 1.

    Raises
    ------
    ModelError
        If there is neither a file nor a builder, or one of them cannot be read.
    """
    from snn_deploy.importers.balance import needs_balance

    known = replace(options, timesteps=options.timesteps or 1)
    graph = _shown_for(_read(None if path is None else Path(path), known), options)
    for relu in needs_balance(graph):
        graph = graph.replace(relu, by=replace(relu, maximum=1.0))
    return graph


def _shown_for(graph: "Graph", options: ReadOptions) -> "Graph":
    given = {
        name: value
        for name in ("timesteps", "largest_count")
        if (value := getattr(options, name)) is not None
    }
    training = replace(graph.training, **given)
    if options.input_range is not None:
        training = training.ranged(options.input_range)
    return replace(graph, training=training)


def _read(path: Path | None, options: ReadOptions) -> "Graph":
    if path is None or options.builder is not None or options.trust_pickle:
        require("torch", purpose="a module")
        from snn_deploy.importers.torch.checkpoint import read_module

        return read_module(path, options)
    ending = ALSO.get(path.suffix, path.suffix)
    if ending in FORMATS:
        require(*FORMATS[ending].needs, purpose=str(path))
        module, function = FORMATS[ending].reader.split(":")
        read: Any = getattr(import_module(f"snn_deploy.importers.{module}"), function)
        graph: Graph = read(path, options)
        return graph
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    if path.suffix in NO_MODELS:
        raise ModelError(f"{path}: {NO_MODELS[path.suffix]}")
    *first, last = (f"{ending}{form.writer}" for ending, form in FORMATS.items())
    raise ModelError(
        f"{path}: models end in {', '.join(first)}, or {last}; save the model in one "
        "of these forms"
    )


def _balanced(graph: "Graph", options: ReadOptions) -> "Graph":
    """Return the graph with thresholds for its ReLUs."""
    import numpy as np

    from snn_deploy.importers.balance import PERCENTILE, balance, needs_balance
    from snn_deploy.ir.inputs import in_a_row, listed
    from snn_deploy.ir.stimuli import to_shares

    relus, x = needs_balance(graph), options.balance_on
    if not relus and x is None:
        return graph
    if not relus:
        raise ModelError(
            f"{graph.name}: has no ReLU without an upper end, so there is nothing to "
            "balance; leave the inputs out"
        )
    if x is None:
        raise ModelError(
            f"{relus[0].name}: a ReLU has no largest value that could be a threshold; "
            "give training inputs to measure it on, --balance-on x.npz"
        )
    inputs = graph.training.inputs
    if isinstance(x, Mapping):
        if not inputs and "x" not in x:
            raise ModelError(
                f"balance_on holds {', '.join(x)}, the network takes one input; store "
                "it as x"
            )
        x = in_a_row("balance_on", inputs, x, is_events=False) if inputs else x["x"]
    elif inputs:
        raise ModelError(
            f"balance_on is one array, the network takes {listed(inputs)}; give them "
            "by name"
        )
    x = to_shares(np.asarray(x), *graph.training.input_range)
    share = options.percentile
    return balance(graph, x, PERCENTILE if share is None else share)
