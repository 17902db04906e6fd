"""Time in a NIR network: what the file says or leaves out, delays, and loops.

The format has no place for it, but room for notes: ``metadata`` of the graph may hold
``dt`` and the rest of ``Training``, ``metadata`` of neurons ``reset``, as
``exporters/nir.py`` writes them. What is missing must be given, since a guess would
compute something else; what is given may not contradict the file.

Delays become timesteps of edges and axons, and a loop without one takes a timestep.
"""

import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.joining import noted_heads, noted_inputs
from snn_deploy.importers.nir.file import WEIGHTED, Primitives
from snn_deploy.importers.options import ReadOptions
from snn_deploy.ir.graph import Delays, Edge, Functional, Training, close_loops
from snn_deploy.ir.neurons import Lif, Reset
from snn_deploy.ir.stimuli import Encoding

logger = logging.getLogger(__name__)
SNNTORCH = "snntorch"
SNNTORCH_DT = 1e-4  # of the files that it writes
WRITTEN = 1e-4  # relative: what single precision leaves of 1 - (1 - dt / tau)
RESETTING = ("LIF", "CubaLIF", "IF")
TIMED = (*RESETTING, "I", "LI", "CubaLI", "Delay")
TIMELESS_DT = 1.0  # of a network that no time constant is in


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What turns equations into timesteps: the length of one, and the resets."""

    dt: float
    resets: dict[str, Reset]  # of each spiking neuron that has a memory
    resting: frozenset[str] = frozenset()  # of snnTorch: rest where reset to zero
    is_snntorch: bool = False

    def beside(self, neurons: Lif) -> dict[str, Any]:
        """Return what the tool that wrote the file computes, but the file not says.

        snnTorch takes the threshold off behind the next decay. It resets to zero then
        as well: in ``Leaky`` that is a hard reset, in others the next input is lost.

        Raises
        ------
        ModelError
            If it does not write such neurons.
        """
        if not self.is_snntorch:
            return {}
        name, kept = neurons.name, 1 - neurons.voltage_decay
        if np.any(np.abs(neurons.input_gain - 1) > WRITTEN) or np.any(neurons.bias):
            raise ModelError(
                f"{name}: input counts {np.ravel(neurons.input_gain)[0]:g}, with a "
                f"bias of {np.ravel(neurons.bias)[0]:g}, but snnTorch writes 1 and 0; "
                "leave --from out"
            )
        found: dict[str, Any] = {"input_gain": np.ones(())}
        if neurons.reset is Reset.HARD:
            return {**found, "refractory": int(name in self.resting)}
        if np.any(kept == 0):
            raise ModelError(
                f"{name}: a voltage that loses all in a timestep has nothing left that "
                "snnTorch could take the threshold off; give --reset hard, if it was "
                "trained so"
            )
        return {**found, "reset_amount": neurons.threshold / kept}


def ask(path: Path, network: Primitives, options: ReadOptions) -> Timing:
    """Return the timing of ``network``, from its file or as given.

    Raises
    ------
    ModelError
        If something is missing, or given in contradiction to the file.
    """
    noted, dt, reset = _given(path, network, options)
    dt = _agreed(path, "dt", noted, dt)
    resets, missing = {}, []
    for name, primitive in network.nodes.items():
        if primitive.kind not in RESETTING:
            continue
        mine = _reset(path, name, _scalar(primitive.metadata, "reset"))
        found = _agreed(path, "reset", mine, reset)
        if found is None:
            missing.append(name)
        else:
            resets[name] = found
    needs = []
    if dt is None and any(p.kind in TIMED for p in network.nodes.values()):
        needs.append("how long a timestep is (--dt SECONDS; most tools take 1e-4)")
    if missing:
        needs.append(
            "what a spike does to the voltage (--reset hard: set to v_reset, as NIR's "
            "equations say; --reset soft: lowered by the threshold)"
        )
    if needs:
        raise ModelError(f"{path}: does not say {', nor '.join(needs)}; give it")
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise ModelError(f"{path}: a timestep of {dt} s; it must be over 0")
    return Timing(
        dt=TIMELESS_DT if dt is None else dt,
        resets=resets,
        resting=frozenset(name for name in resets if _is_no_leaky(network, name)),
        is_snntorch=options.written_by == SNNTORCH,
    )


def _given(
    path: Path, network: Primitives, options: ReadOptions
) -> tuple[float | None, float | None, Reset | None]:
    """Return what the file notes as ``dt``, then ``dt`` and ``reset`` as given."""
    reset = None if options.reset is None else Reset(options.reset)
    if options.written_by == SNNTORCH:
        return SNNTORCH_DT, options.dt, reset or Reset.SOFT
    if _looks_like_snntorch(network):
        logger.warning(
            f"{path}: looks like a file of snnTorch, which does not say that its "
            "neurons are reset a timestep later: if it is one, give --from snntorch "
            "(and --reset hard for reset_mechanism='zero')"
        )
    noted = _scalar(network.metadata, "dt")
    return None if noted is None else float(noted), options.dt, reset


def _looks_like_snntorch(network: Primitives) -> bool:
    """Return whether input counts 1 in timesteps of snnTorch, in all its neurons."""
    neurons = [p for p in network.nodes.values() if p.kind in TIMED]
    if any(p.kind not in ("LIF", "CubaLIF") or p.metadata for p in neurons):
        return False
    pairs = [("r", "tau" if p.kind == "LIF" else "tau_mem") for p in neurons]
    return bool(neurons) and all(
        p.array(r).size == p.array(tau).size
        and np.allclose(p.array(r) * SNNTORCH_DT, p.array(tau), rtol=WRITTEN)
        for p, (r, tau) in zip(neurons, pairs, strict=True)
    )


def _is_no_leaky(network: Primitives, name: str) -> bool:
    """Return whether neurons have a current, or feed themselves: not ``Leaky``."""
    behind = {b for a, b in network.edges if a == name}
    before = {a for a, b in network.edges if b == name}
    return network.nodes[name].kind == "CubaLIF" or bool(behind & before)


def read_training(
    path: Path,
    metadata: dict[str, Any],
    dt: float,
    timesteps: int,
    encoding: Encoding | None,
) -> tuple[Training, bool]:
    """Return what the file notes of the training, and whether it holds integers."""
    kinds: dict[str, Any] = {
        "timesteps": int,
        "encoding": Encoding,
        "input_scale": float,
        "input_offset": float,
        "functional": Functional,
        "largest_count": int,
        "input_low": float,
        "input_high": float,
        "answers": str,
    }
    assert set(kinds) < {item.name for item in fields(Training)}
    values: dict[str, Any] = {"timesteps": timesteps}
    for key, kind in kinds.items():
        noted = _scalar(metadata, key)
        if noted is None:
            continue
        try:
            values[key] = kind(noted)
        except ValueError as error:
            raise ModelError(
                f"{path}: notes {key} {noted!r} ({error}); write the file again"
            ) from None
    kind = _agreed(path, "encoding", values.get("encoding"), encoding)
    values["encoding"] = kind or Encoding.EVENTS
    is_on_grid = bool(_scalar(metadata, "is_on_grid"))
    heads = noted_heads(path, _scalar(metadata, "heads"))
    inputs = noted_inputs(path, _scalar(metadata, "inputs"))
    return Training(dt=dt, heads=heads, inputs=inputs, **values), is_on_grid


def _reset(path: Path, name: str, noted: Any) -> Reset | None:
    if noted is None:
        return None
    if noted not in [reset.value for reset in Reset]:
        raise ModelError(
            f"{path}: {name}: notes reset {noted!r}; hard and soft are known, write "
            "the file again"
        )
    return Reset(noted)


def _agreed(path: Path, key: str, noted: Any, given: Any) -> Any:
    """Return what the file notes, or what is given."""
    if noted is None or given is None or noted == given:
        return given if noted is None else noted
    told = [getattr(value, "value", value) for value in (noted, given)]
    raise ModelError(
        f"{path}: notes {key} {told[0]}, --{key} says {told[1]}; leave it out"
    )


def _scalar(metadata: dict[str, Any], key: str) -> Any:
    value = metadata.get(key)
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value


SPIKING = ("LIF", "CubaLIF", "IF", "Threshold")
ROUNDING = 1e-6  # timesteps by which a delay may miss the grid, as floats do


@dataclass(frozen=True, kw_only=True, eq=False)
class Wiring:
    """Edges between nodes that are no delays, and what delays a node's axons."""

    edges: tuple[Edge, ...]
    axon_delays: dict[str, FloatArray]


def wire(network: Primitives, dt: float) -> Wiring:
    """Return the edges of ``network``, delays in timesteps of length ``dt``.

    A delay that is the same for all values belongs to the edges around it; one that
    differs belongs to the axons of the spiking neurons, or the input, before it. A loop
    without a delay of its own takes one timestep, see ``close_loops``.

    Raises
    ------
    ModelError
        If a delay is no whole number of timesteps, or is where the chip has none.
    """
    delays: Delays = dict.fromkeys(network.edges, 0)
    axon_delays: dict[str, FloatArray] = {}
    for name, primitive in network.nodes.items():
        if primitive.kind != "Delay":
            continue
        if name in network.outputs.values():
            raise ModelError(
                f"{name}: a delay before the output only shifts the answer; leave it "
                "out, and read the output later"
            )
        steps = _timesteps(name, primitive.array("delay"), dt)
        least = int(steps.min())
        if np.any(steps != least):
            source = _sender(network, delays, name)
            axon_delays[source] = steps - least
        _bridge(delays, name, least)
    weights = [
        name for name, p in network.nodes.items() if p.kind in (*WEIGHTED, "Scale")
    ]
    delays = close_loops(delays, network.inputs, weights)
    return Wiring(
        edges=tuple(
            Edge(source=a, target=b, delay=delay) for (a, b), delay in delays.items()
        ),
        axon_delays=axon_delays,
    )


def _timesteps(name: str, delay: FloatArray, dt: float) -> FloatArray:
    steps: FloatArray = np.rint(delay / dt)
    late = np.abs(delay / dt - steps) > ROUNDING * np.maximum(steps, 1)
    wrong = delay[late | ~np.isfinite(delay) | (delay < 0)]
    if wrong.size:
        raise ModelError(
            f"{name}: a delay of {wrong.flat[0]:g} s is {wrong.flat[0] / dt:g} "
            f"timesteps of {dt:g} s; round it to whole ones"
        )
    return steps


def _sender(network: Primitives, delays: Delays, name: str) -> str:
    """Return the neurons whose axons have the delay called ``name``."""
    sources = [a for a, b in delays if b == name]
    source = network.nodes[sources[0]]
    beside = [b for a, b in delays if a == sources[0] and b != name]
    if len(sources) != 1 or source.kind not in (*SPIKING, "Input") or beside:
        raise ModelError(
            f"{name}: delays that differ need spiking neurons, or the input, before "
            f"them that feed nothing else, but they follow {', '.join(sources)} "
            f"({source.kind}); put them directly behind neurons"
        )
    return source.name


def _bridge(delays: Delays, name: str, steps: int) -> None:
    """Join the edges before and behind a delay."""
    before = [(a, d) for (a, b), d in delays.items() if b == name]
    behind = [(b, d) for (a, b), d in delays.items() if a == name]
    for a, early in before:
        for b, late in behind:
            if (a, b) in delays and delays[a, b] != early + steps + late:
                raise ModelError(
                    f"{name}: {b} receives {a} with and without this delay; put a "
                    "layer of its own on each way"
                )
            delays[a, b] = early + steps + late
    for pair in [pair for pair in delays if name in pair]:
        del delays[pair]
