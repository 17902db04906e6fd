"""Arrays by the names that people give them: the inputs of a network, and labels."""

from collections.abc import Collection
from pathlib import Path

from snn_deploy.arrays import AnyArray
from snn_deploy.errors import DataError
from snn_deploy.ir.graph import Training
from snn_deploy.ir.inputs import BESIDE, LABELS, in_a_row, listed
from snn_deploy.ir.stimuli import Encoding

# bytes of events are counts, those of values have 255 for 1: not by the same names
INPUTS = {
    "x": ("x", "data", "image", "images", "input", "inputs"),
    "bias": ("bias",),  # of its own, since x is scaled
    "spikes": ("spikes", "events", "frames", "x", "data", "input", "inputs"),
}


def input_name(encoding: Encoding, arrays: Collection[str] = ()) -> str:
    """Return how the inputs among ``arrays`` are called."""
    if encoding is Encoding.EVENTS:
        return "spikes"
    return "bias" if encoding is Encoding.BIAS and "bias" in arrays else "x"


def as_named(path: Path, arrays: dict[str, AnyArray], name: str) -> dict[str, AnyArray]:
    """Return arrays with the inputs as ``name`` ("x", "spikes"), and labels as "y".

    Raises
    ------
    DataError
        If none are the inputs, or several may be.
    """
    inputs = _one_of(path, arrays, name, INPUTS[name])
    if inputs is None and len(arrays) == 1 and [*arrays] == ["arr_0"]:
        inputs = "arr_0"  # NumPy's name for one without
    if inputs is None:
        raise DataError(
            f"{path}: has no {name!r} but {', '.join(sorted(arrays)) or 'nothing'}; "
            f"store the inputs as {name!r}"
        )
    found = {key: array for key, array in arrays.items() if key in BESIDE}
    found[name] = arrays[inputs]
    labels = _one_of(path, arrays, "y", LABELS)
    if labels is not None:
        found["y"] = arrays[labels]
    return found


def as_row(
    path: Path, arrays: dict[str, AnyArray], training: Training, name: str
) -> dict[str, AnyArray]:
    """Return arrays in which the several inputs of a network, if it has, are a row.

    Labels keep their names.

    Raises
    ------
    DataError
        If an input is missing or does not fit, or a name is none of a network's.
    """
    inputs = training.inputs
    if not inputs:
        return arrays
    known = {*(given.name for given in inputs), *(head.name for head in training.heads)}
    others = {key: array for key, array in arrays.items() if key not in known}
    unknown = [key for key in others if key not in BESIDE and key.lower() not in LABELS]
    if unknown:
        raise DataError(
            f"{path}: {', '.join(map(repr, sorted(unknown)))} names no input; the "
            f"network takes {listed(inputs)}"
        )
    recorded = [key for key in arrays if key in known and arrays[key].dtype.names]
    if recorded:
        raise DataError(
            f"{path}: {recorded[0]} is a recording of events, one of {len(inputs)} "
            f"inputs; bin it into (n, {training.timesteps}, ...), as its network takes"
        )
    is_events = training.encoding is Encoding.EVENTS
    row = in_a_row(str(path), inputs, arrays, is_events=is_events)
    return {**others, name: row}


def _one_of(
    path: Path, arrays: Collection[str], name: str, names: Collection[str]
) -> str | None:
    """Return which array has the name, or else another for the same, of any case."""
    if name in arrays:
        return name
    found = [key for key in arrays if key.lower() in names]
    if len(found) > 1:
        raise DataError(
            f"{path}: {' and '.join(sorted(found))} may be {name!r}; store the one "
            f"that is meant as {name!r}"
        )
    return found[0] if found else None
