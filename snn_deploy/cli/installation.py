"""Look at an installation: what runs here, what does not, and what to do about it.

The self-test compiles a small network and runs it in every way that this machine has,
against the reference: outputs of all timesteps must be equal.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, Shape
from snn_deploy.backends.engine.compiled import (
    Engine,
    available,
    instructions,
    missing_note,
    n_cores,
)
from snn_deploy.backends.lava.compat import import_lava
from snn_deploy.backends.protocol import Program
from snn_deploy.backends.registry import CHECK, is_installed, open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import BackendError
from snn_deploy.importers.sandbox.sandbox import has_sandbox
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.neurons import Comparison, Lif, Reset
from snn_deploy.ir.nodes import Conv2d, Flatten, Input, Linear
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus, encode

TIMESTEPS = 12
N_INPUTS = 4
ENOUGH_SPACE = 1 << 30  # bytes; a profile of 10,000 inputs takes a few megabytes


class Severity(Enum):
    """How a finding is meant."""

    FINE = "fine"
    NOTE = "note"  # works, but something is missing or slower
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found, and what to do about it."""

    what: str
    severity: Severity
    found: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Yield what is found, part by part; the self-tests come last."""
    yield _system()
    yield _python()
    yield _torch()
    yield _threads()
    yield from _disk()
    yield _engine()
    yield _lava()
    network = compile_model(_network(), read_target("loihi-sim"))
    stimuli = _stimuli(network)
    wanted = _reference(network, stimuli)
    for name, run in _ways(network, stimuli):
        yield _compared(f"self-test, {name}", run, wanted)


def _system() -> Finding:
    name = platform.system()
    lacks = ""
    if not has_sandbox():
        lacks = "NIR, ONNX and lava-dl files are not read, .pt and .snn are"
    elif name == "Darwin":
        lacks = "parsers of NIR, ONNX and lava-dl files have no limit of memory"
    return Finding(
        what="system",
        severity=Severity.NOTE if lacks else Severity.FINE,
        found=f"{name or 'unknown'}, {platform.machine() or 'unknown processor'}"
        + f": {lacks}" * bool(lacks),
        advice="use Linux, where snn-deploy is tested" if lacks else "",
    )


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        what="Python",
        severity=Severity.FINE,
        found=f"{version}, NumPy {np.__version__}",
    )


def _torch() -> Finding:
    missing = [name for name in ("torch", "norse") if find_spec(name) is None]
    if missing:
        return Finding(
            what="models",
            severity=Severity.NOTE,
            found=f"{' and '.join(missing)} not installed: .snn, .nir and .net serve",
            advice="pip install 'snn-deploy[torch]' to compile modules and to train",
        )
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("torch", "norse"))
    return Finding(what="models", severity=Severity.FINE, found=versions)


def _threads() -> Finding:
    found = f"{n_cores()} for the engine"
    return Finding(what="threads", severity=Severity.FINE, found=found)


def _disk() -> Iterator[Finding]:
    for what, folder in (
        ("this folder", Path.cwd()),
        ("temporary files", Path(tempfile.gettempdir())),
    ):
        free = shutil.disk_usage(folder).free
        if not os.access(folder, os.W_OK):
            severity, found = Severity.PROBLEM, f"{folder}: not writable"
            advice = "change its permissions, or work in another folder"
        else:
            found = f"{folder}: {free / 1e9:.1f} GB free"
            is_enough = free >= ENOUGH_SPACE
            severity = Severity.FINE if is_enough else Severity.PROBLEM
            advice = "" if is_enough else "free some space, 1 GB is advised"
        yield Finding(what=what, severity=severity, found=found, advice=advice)


def _engine() -> Finding:
    what = "engine"
    try:
        chosen = instructions()
    except BackendError as error:
        return Finding(
            what=what,
            severity=Severity.PROBLEM,
            found=str(error),
            advice="unset SNN_DEPLOY_ENGINE",
        )
    note = missing_note()
    if note is not None:
        return Finding(what=what, severity=Severity.NOTE, found="NumPy", advice=note)
    able = ", ".join(available()) or "none compiled"
    return Finding(
        what=what,
        severity=Severity.FINE,
        found=f"{chosen} serves, this processor runs {able}",
    )


def _lava() -> Finding:
    try:
        import_lava()
    except BackendError as error:
        return Finding(
            what="Lava", severity=Severity.NOTE, found="cannot serve", advice=str(error)
        )
    version = metadata.version("lava-nc")
    return Finding(what="Lava", severity=Severity.FINE, found=f"lava-nc {version}")


def _network() -> Graph:
    """Return a small network: convolution, leaky and soft-reset neurons, counts."""
    draw = np.random.default_rng(7)
    one, zero = np.array(1.0), np.array(0.0)

    def weighted(*shape: int) -> FloatArray:
        weights = draw.normal(0.1, 1, shape) / np.sqrt(np.prod(shape[1:]))
        return np.asarray(weights, np.float64)

    def neurons(name: str, shape: Shape, reset: Reset, leak: float) -> Lif:
        return Lif(
            name=name,
            shape=shape,
            current_decay=one,
            voltage_decay=np.array(leak),
            input_gain=one,
            bias=zero,
            initial_voltage=zero,
            threshold=np.array(0.4),
            reset=reset,
            reset_amount=np.array(0.4),
            comparison=Comparison.GREATER,
            spike_value=1.0,
        )

    conv = Conv2d(
        name="conv",
        weight=weighted(8, 1, 3, 3),
        bias=weighted(8),
        stride=(1, 1),
        padding=(1, 1),
        dilation=(1, 1),
        groups=1,
        shape=(1, 8, 8),
    )
    nodes = (
        Input(name="input", shape=(1, 8, 8)),
        conv,
        neurons("lif", (8, 8, 8), Reset.HARD, 0.25),
        Flatten(name="flatten", shape=(8, 8, 8)),
        Linear(name="linear", weight=weighted(10, 512), bias=weighted(10)),
        neurons("counts", (10,), Reset.SOFT, 0.0),
    )
    names = [node.name for node in nodes]
    edges = tuple(Edge(source=a, target=b) for a, b in pairwise(names))
    training = Training(timesteps=TIMESTEPS, encoding=Encoding.DIRECT)
    return Graph(name="self-test", nodes=nodes, edges=edges, training=training)


def _stimuli(network: MappedNetwork) -> list[Stimulus]:
    draw = np.random.default_rng(8)
    shape = network.graph.source.shape
    images = draw.integers(0, 256, (N_INPUTS, *shape)).astype(np.uint8)
    return [
        encode(image, Encoding.DIRECT, TIMESTEPS, index=i)
        for i, image in enumerate(images)
    ]


def _reference(network: MappedNetwork, stimuli: list[Stimulus]) -> IntArray:
    """Return the accumulated outputs ``(n, n_timesteps, n_out)``."""
    simulation = Simulation(network.graph, stimuli)
    rows = []
    for _ in range(TIMESTEPS + network.graph.depth):
        simulation.step()
        if simulation.timestep > network.graph.depth:
            rows.append(simulation.readout())
    return np.cumsum(rows, axis=0).transpose(1, 0, 2)


def _ways(
    network: MappedNetwork, stimuli: list[Stimulus]
) -> Iterator[tuple[str, Callable[[], IntArray]]]:
    for name in available():
        engine = Engine(network, name)
        yield f"{name}, {engine.n_threads} threads", partial(_on_cpu, engine, stimuli)
    if is_installed(CHECK):
        yield "Lava, one input", partial(_on_lava, network, stimuli[:1])


def _on_cpu(engine: Engine, stimuli: list[Stimulus]) -> IntArray:
    never = np.full(TIMESTEPS, np.inf)
    return engine.run(stimuli, never, is_counted=False).scores


def _on_lava(network: MappedNetwork, stimuli: list[Stimulus]) -> IntArray:
    program: Program = open_backend(CHECK).load(network)
    try:
        session = program.start(stimuli)
        rows = []
        while (record := session.step()) is not None:
            rows.append(record.readout)
        session.close()
    finally:
        program.close()
    return np.cumsum(rows, axis=0).transpose(1, 0, 2)


def _compared(what: str, run: Callable[[], IntArray], wanted: IntArray) -> Finding:
    try:
        found = run()
    except BackendError as error:
        return Finding(what=what, severity=Severity.PROBLEM, found=str(error))
    wanted = wanted[: len(found)]
    differing = int(np.count_nonzero(found != wanted))
    if differing:
        return Finding(
            what=what,
            severity=Severity.PROBLEM,
            found=f"{differing} of {wanted.size} outputs differ from the reference",
            advice="install again; if it stays, report it with the line of the engine",
        )
    return Finding(
        what=what,
        severity=Severity.FINE,
        found=f"{wanted.size} outputs equal to the reference",
    )
