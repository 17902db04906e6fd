"""Assertions for a lab's own tests: a network fits, is right, early and cheap.

They need no plugin: called from any test, they raise ``AssertionError`` with the figure
that was found, the figure that was asked for, and the network. ``examples/ci`` holds a
test file and a workflow for continuous integration.
"""

from os import PathLike
from pathlib import Path

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.artifact import read_artifact
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.data.data import load_arrays, read_data
from snn_deploy.errors import BackendError, DataError, FitError, PassError
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.profile import Profile, profile_inputs
from snn_deploy.profile.summary import summarize
from snn_deploy.verify.recording import read_raw, record

AnyPath = str | PathLike[str]


def assert_fits(model: AnyPath, target: str = "loihi-sim") -> MappedNetwork:
    """Return the trained ``model``, compiled for ``target``; fail if it does not fit.

    Raises
    ------
    AssertionError
        With every limit that is exceeded.
    """
    __tracebackhide__ = True
    try:
        return compile_model(load_model(model), read_target(target))
    except (FitError, PassError) as error:
        raise AssertionError(f"{model} does not fit {target}: {error}") from error


def measure(
    network: AnyPath,
    data: AnyPath,
    *,
    has_cutoff: bool = True,
    backend: str = "cpu",
    limit: int | None = None,
) -> Profile:
    """Return the profile of a compiled network, on which the assertions are made.

    Parameters
    ----------
    network : path
        A ``.snn`` file. With its cutoff, if it is calibrated,
    has_cutoff : bool
        unless this is false.
    data : path
        Inputs, ``.npz``.
    backend : {"cpu", "lava"}
    limit : int, optional
        Only the first inputs.
    """
    artifact = read_artifact(Path(network))
    graph = artifact.network.graph
    inputs = read_data(
        Path(data), graph.source.shape, graph.training, n_outputs=graph.head.n_outputs
    )
    calibration = artifact.calibration if has_cutoff else None
    found = profile_inputs(
        artifact,
        open_backend(backend),
        inputs,
        cutoff=None if calibration is None else calibration.cutoff,
        calibration=calibration,
        limit=limit,
    )
    for failed in found.failed:
        raise BackendError(f"input {failed.index} failed twice: {failed.reason}")
    return found


def assert_accuracy(profile: Profile, at_least: float) -> None:
    """Fail unless this share of the answers is right, from 0 to 1."""
    __tracebackhide__ = True
    found = _mean(profile, "accuracy")
    if found is None:
        raise DataError("the inputs have no labels, so no accuracy; store them as y")
    _check(profile, "accuracy", found, found >= at_least, f"at least {at_least:g}")


def assert_timesteps(profile: Profile, at_most: float) -> None:
    """Fail unless the inputs are answered after so many timesteps on average."""
    __tracebackhide__ = True
    found = _mean(profile, "mean_timesteps")
    assert found is not None
    _check(profile, "timesteps", found, found <= at_most, f"at most {at_most:g}")


def assert_energy(profile: Profile, at_most: float) -> None:
    """Fail unless an input costs so little on average [J], as modelled, central value.

    A target without prices fails: its energy is unknown.
    """
    __tracebackhide__ = True
    found = _mean(profile, "mean_energy_j")
    if found is None:
        name = profile.artifact.network.target.name
        raise AssertionError(
            f"the energy on {name} is unknown ({', '.join(profile.unknown)}); give its "
            "target file prices, or take another target"
        )
    _check(profile, "energy [J]", found, found <= at_most, f"at most {at_most:g}")


def _mean(profile: Profile, name: str) -> float | None:
    summary = summarize(profile)
    means = summary["with_cutoff"] or summary["all_timesteps"]
    value: float | None = means[name]
    return value


def _check(
    profile: Profile, what: str, found: float, is_right: bool, wanted: str
) -> None:
    __tracebackhide__ = True
    network = profile.artifact.network
    if not is_right:
        how = "with its cutoff" if profile.has_cutoff else "for all timesteps"
        raise AssertionError(
            f"{network.graph.name} on {network.target.name}, {how}: {what} "
            f"{found:.4g} over {len(profile.rows)} inputs, {wanted} was asked for"
        )


def assert_same_spikes(
    network: AnyPath, data: AnyPath, trace: AnyPath, *, backend: str = "cpu"
) -> None:
    """Fail unless every neuron spikes as it did when ``trace`` was recorded.

    Parameters
    ----------
    network : path
        A ``.snn`` file.
    data : path
        The inputs of the trace.
    trace : path
        What ``snn-deploy run network --data data --record spikes -o trace`` wrote.
    backend : {"cpu", "lava"}

    Raises
    ------
    AssertionError
        With the first spike that differs: population, input, timestep and neuron.
    """
    __tracebackhide__ = True
    graph = read_artifact(Path(network)).network
    expected = {
        name: values
        for name, values in load_arrays(Path(trace)).items()
        if name.endswith("/spikes")
    }
    inputs = read_raw(Path(data), graph.graph)
    program = open_backend(backend).load(graph)
    try:
        for index, found in enumerate(
            record(program, graph.graph, inputs, ("spikes",))
        ):
            _check_populations(trace, set(found), set(expected))
            for name, spikes in found.items():
                _compare(name, index, spikes, expected[name])
    finally:
        program.close()


def _check_populations(trace: AnyPath, found: set[str], expected: set[str]) -> None:
    __tracebackhide__ = True
    if found != expected:
        odd = ", ".join(sorted(found ^ expected))
        raise AssertionError(
            f"{trace} and the network have other populations ({odd}); record it again"
        )


def _compare(name: str, index: int, found: IntArray, expected: IntArray) -> None:
    __tracebackhide__ = True
    if index >= len(expected) or expected[index].shape != found.shape:
        raise AssertionError(
            f"{name}: input {index} has the shape {found.shape}, the trace holds "
            f"{expected.shape}; record it again with the same inputs"
        )
    differs = found != expected[index]
    if differs.any():
        timestep, *neuron = (int(axis[0]) for axis in np.nonzero(differs))
        where = (timestep, *neuron)
        raise AssertionError(
            f"{name}: {int(differs.sum())} of {differs.size} differ, the first at "
            f"input {index}, timestep {timestep + 1}, neuron {tuple(neuron)}: "
            f"{found[where]}, recorded is {expected[index][where]}"
        )
