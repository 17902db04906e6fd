"""Which tools read a NIR file as it is meant, and which part of it they do not.

A tool takes of a file what its own neurons have, and says nothing of the rest: Norse
resets every neuron to 0, sinabs takes the threshold off, SpikingJelly spikes at the
threshold. What each does is told here as of Norse 1.1, snnTorch 1.0, SpikingJelly 2.0
and sinabs 3.1, and tried in ``tests/exporters/test_nir_readers.py``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Comparison, Lif, Reset

if TYPE_CHECKING:
    import nir

COMMON = ("Input", "Output", "Affine", "Conv2d", "Flatten", "SumPool2d")
SPIKING = ("IF", "LIF", "CubaLIF")
CLOSE = 1e-9  # relative, of what is computed in double precision
MOST_REASONS = 3
Reasons = Iterator[str]


@dataclass(frozen=True, kw_only=True)
class NirReader:
    """What a tool makes of a NIR file."""

    title: str
    call: str  # how it reads the file, with ``dt``
    kinds: tuple[str, ...]
    comparison: Comparison
    reset: Reset
    has_loops: bool
    has_branches: bool
    floor: bool  # voltages are cut off below, and neurons spike several times
    neurons: Callable[["_Written", str], Reasons]  # what else it does to some
    # how the file is best written for it
    dt: float | None = None  # the only length of a timestep that it knows [s]
    counts_whole: bool = False  # the input of a voltage with a leak is not scaled
    one_threshold: bool = False  # for all neurons of a layer


@dataclass(frozen=True, kw_only=True, eq=False)
class _Written:
    """A written graph: what its nodes are, and the length of a timestep [s]."""

    nodes: Mapping[str, Any]
    edges: list[tuple[str, str]]
    dt: float
    largest_count: int  # of events of the input in a timestep

    def kind(self, name: str) -> str:
        return type(self.nodes[name]).__name__

    def sources(self, name: str) -> list[str]:
        return [a for a, b in self.edges if b == name]

    def behind(self, name: str) -> set[str]:
        """Return what a node leads to; itself, if it is in a loop."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            last = waiting.pop()
            more = {b for a, b in self.edges if a == last} - found
            found |= more
            waiting += more
        return found

    def is_all(self, name: str, key: str, wanted: AnyArray | float) -> bool:
        """Return whether a parameter is what is wanted, for every neuron."""
        found = np.asarray(getattr(self.nodes[name], key), np.float64)
        return bool(np.allclose(found, wanted, rtol=CLOSE, atol=0))

    def is_one(self, name: str, *keys: str) -> bool:
        """Return whether all neurons have the same value of each parameter."""
        values = [np.asarray(getattr(self.nodes[name], key)) for key in keys]
        return all(np.all(v == v.reshape(-1)[0]) for v in values)

    def steps(self, name: str, key: str) -> FloatArray:
        """Return a time constant in timesteps."""
        found = np.asarray(getattr(self.nodes[name], key), np.float64)
        steps: FloatArray = found / self.dt
        return steps


def _norse(file: _Written, name: str) -> Reasons:
    kind = file.kind(name)
    if kind == "IF" and not file.is_all(name, "r", 1 / file.dt):
        yield "leaves out the gain of its input"
    if kind == "LIF" and not file.is_all(name, "r", 1.0):
        yield "leaves out the gain of its input"
    if kind == "CubaLIF" and not file.is_all(name, "v_leak", 0.0):
        yield "adds the bias to the current as well"


def _snntorch(file: _Written, name: str) -> Reasons:
    kind = file.kind(name)
    if kind == "IF":
        yield "gives neurons without a leak one of 0.1"
        return
    if not file.is_all(name, "v_leak", 0.0):
        yield "takes no bias of a layer's neurons"
    if not file.is_one(name, "v_threshold"):
        yield "takes one threshold for a layer"
    key, decay = ("r", "tau") if kind == "LIF" else ("w_in", "tau_syn")
    gain = np.asarray(getattr(file.nodes[name], key)) / file.steps(name, decay)
    if not np.allclose(gain, gain.reshape(-1)[0], rtol=CLOSE, atol=0):
        yield "takes one gain of the input for a layer"
    if kind == "CubaLIF":
        if not file.is_all(name, "r", file.steps(name, "tau_mem")):
            yield "takes the current as it is, without a gain"
        if not file.is_one(name, "tau_syn", "tau_mem"):
            yield "was not tried with a decay for each neuron behind a current"


def _spikingjelly(file: _Written, name: str) -> Reasons:
    kind = file.kind(name)
    keys = {
        "IF": ("r", "v_threshold"),
        "LIF": ("tau", "r", "v_threshold", "v_leak"),
        "CubaLIF": ("tau_syn", "tau_mem", "r", "w_in", "v_threshold", "v_leak"),
    }[kind]
    several = [key for key in keys if not file.is_one(name, key)]
    if several:
        yield f"takes one {', '.join(several)} for a layer"
    elif not _has_known_gain(file, name):
        yield "takes no gain of the input"
    if kind != "IF" and not file.is_all(name, "v_leak", 0.0):
        yield "takes no bias of a layer's neurons"
    if kind == "LIF" and np.any(file.steps(name, "tau") <= 1):
        yield "takes no voltage that loses all in a timestep"


def _has_known_gain(file: _Written, name: str) -> bool:
    """Return whether the input counts as it is, or a voltage is its running mean."""
    match file.kind(name):
        case "IF":
            return file.is_all(name, "r", 1 / file.dt)
        case "LIF":
            means = file.is_all(name, "r", 1.0)
            return means or file.is_all(name, "r", file.steps(name, "tau"))
    is_whole = file.is_all(name, "w_in", file.steps(name, "tau_syn"))
    return is_whole and file.is_all(name, "r", file.steps(name, "tau_mem"))


def _sinabs(file: _Written, name: str) -> Reasons:
    if file.kind(name) == "LIF":
        yield "counts time constants in timesteps, and decays by exp(-1 / tau)"
        return
    node = file.nodes[name]
    threshold = np.asarray(node.v_threshold, np.float64)
    low, most = _most(file, name)
    floor = node.metadata.get("lowest_voltage")
    if np.any(low < 0) and (floor is None or np.any(floor != -threshold)):
        yield "cuts voltages off at minus the threshold, which these can fall below"
    if most > node.metadata.get("max_spikes", 1):
        yield "spikes more often in a timestep, which what arrives can lead to"


def _most(file: _Written, name: str) -> tuple[FloatArray, float]:
    """Return the least that can arrive at each channel, and how often one can spike.

    The voltage before is below the threshold.
    """
    threshold = np.asarray(file.nodes[name].v_threshold, np.float64)
    low, high = np.zeros(len(threshold)), np.zeros(len(threshold))
    if name in file.behind(name):
        return low - np.inf, np.inf
    for source in file.sources(name):
        layer, before = file.nodes[source], file.sources(source)
        while before and file.kind(before[0]) == "Flatten":
            before = file.sources(before[0])
        fed = {file.kind(name) for name in before}
        if file.kind(source) not in ("Affine", "Conv2d") or not fed <= {"Input", "IF"}:
            return low - np.inf, np.inf
        most = max(_sent(file, name) for name in before)
        weight = np.asarray(layer.weight, np.float64).reshape(len(low), -1)
        low += most * np.minimum(weight, 0).sum(axis=1) + layer.bias
        high += most * np.maximum(weight, 0).sum(axis=1) + layer.bias
    high = high.reshape(-1, *(1,) * (threshold.ndim - 1))
    return low, max(1.0, np.ceil(high / threshold).max(initial=0))


def _sent(file: _Written, name: str) -> float:
    """Return how many spikes the input, or a neuron, sends in a timestep at most."""
    if file.kind(name) == "Input":
        return file.largest_count
    noted = file.nodes[name].metadata.get("max_spikes", 1)
    return min(float(noted), _most(file, name)[1])


READERS = {
    "norse": NirReader(
        title="Norse",
        call="norse.torch.from_nir(graph, dt={dt:g})",
        kinds=(*COMMON, *SPIKING),
        comparison=Comparison.GREATER,
        reset=Reset.HARD,
        has_loops=True,
        has_branches=False,
        floor=False,
        neurons=_norse,
    ),
    "sinabs": NirReader(
        title="sinabs",
        call="sinabs.nir.from_nir(graph, batch_size=n)",
        kinds=(*COMMON, "IF", "LIF"),
        comparison=Comparison.GREATER_EQUAL,
        reset=Reset.SOFT,
        has_loops=False,
        has_branches=False,
        floor=True,
        neurons=_sinabs,
    ),
    "snntorch": NirReader(
        title="snnTorch",
        call="snntorch.import_nir.import_from_nir(graph)",
        kinds=(*COMMON, "AvgPool2d", *SPIKING),
        comparison=Comparison.GREATER,
        reset=Reset.HARD,
        has_loops=False,
        has_branches=True,
        floor=False,
        neurons=_snntorch,
        dt=1e-4,
        counts_whole=True,
        one_threshold=True,
    ),
    "spikingjelly": NirReader(
        title="SpikingJelly",
        call="spikingjelly.activation_based.nir_exchange.import_from_nir(graph, "
        "dt={dt:g})",
        kinds=(*COMMON, "AvgPool2d", *SPIKING),
        comparison=Comparison.GREATER_EQUAL,
        reset=Reset.HARD,
        has_loops=False,
        has_branches=True,
        floor=False,
        neurons=_spikingjelly,
        one_threshold=True,
    ),
}


def find_reader(name: str) -> NirReader:
    """Return the tool of this name.

    Raises
    ------
    ModelError
        If nothing is known of it.
    """
    if name not in READERS:
        raise ModelError(
            f"no reader of NIR is called {name!r}; choose from {', '.join(READERS)}"
        )
    return READERS[name]


def spiking_as(graph: Graph, comparison: Comparison) -> Graph:
    """Return the graph with neurons of hard reset that all compare in one way.

    ``v >= t`` is ``v > s`` for the number ``s`` before ``t``; tools compute in single
    precision, so that is the one there.
    """
    for node in graph.nodes_of(Lif):
        if node.comparison is comparison or node.reset is Reset.SOFT:
            continue
        towards = np.inf if comparison is Comparison.GREATER_EQUAL else -np.inf
        next_one = np.nextafter(node.threshold.astype(np.float32), np.float32(towards))
        by = replace(node, comparison=comparison, threshold=next_one.astype(np.float64))
        graph = graph.replace(node, by)
    return graph


def reasons(
    reader: NirReader, written: "nir.NIRGraph", *, is_on_grid: bool
) -> list[str]:
    """Return why a tool does not read a written graph as it is meant; none: it does.

    Parameters
    ----------
    reader : NirReader
    written : nir.NIRGraph
        With the metadata that ``write_nir`` adds.
    is_on_grid : bool
        The floats are the integers of a chip, which rounds what decays leave.
    """
    file = _Written(
        nodes=written.nodes,
        edges=written.edges,
        dt=written.metadata["dt"],
        largest_count=written.metadata["largest_count"],
    )
    found = []
    if reader.dt is not None and not np.isclose(file.dt, reader.dt, rtol=CLOSE):
        found.append(f"takes timesteps of {reader.dt:g} s, these are of {file.dt:g} s")
    if not reader.has_loops and _has_loop(file):
        found.append("was not tried with loops")
    starts = [name for name in file.nodes if file.kind(name) == "Input"]
    if len(starts) > 1:
        found.append(f"was not tried with several inputs ({', '.join(starts)})")
    if not reader.has_branches and _has_branches(file):
        found.append("gives something else where the network has branches")
    for name in file.nodes:
        found += [f"{name}: {why}" for why in _of_node(reader, file, name)]
        if is_on_grid and _rounds(file, name):
            found.append(f"{name}: does not round sums or decays as the chip does")
    return found


def _of_node(reader: NirReader, file: _Written, name: str) -> Reasons:
    node, kind = file.nodes[name], file.kind(name)
    if kind not in reader.kinds:
        yield f"has no {kind}"
    elif kind == "SumPool2d" and np.any(node.padding):
        yield "leaves out the zeros around it"
    elif kind in SPIKING:
        yield from _of_neurons(reader, node)
        yield from reader.neurons(file, name)


def _of_neurons(reader: NirReader, node: Any) -> Reasons:
    noted = node.metadata
    if Reset(noted["reset"]) is not reader.reset:
        does = {
            Reset.HARD: "resets its voltage to 0",
            Reset.SOFT: "takes the threshold off its voltage",
        }
        yield does[reader.reset]
    elif "reset_amount" in noted:
        yield "takes the threshold off its voltage, not another amount"
    if not reader.floor and {"lowest_voltage", "max_spikes"} & {*noted}:
        yield "has no lowest voltage, and neurons spike once in a timestep"
    if Comparison(noted.get("comparison", ">")) is not reader.comparison:
        yield f"spikes where the voltage is {reader.comparison.value} the threshold"


def _has_loop(file: _Written) -> bool:
    return any(name in file.behind(name) for name in file.nodes)


def _has_branches(file: _Written) -> bool:
    """Return whether a node leads to several others, in the same loop or outside."""
    ways = [(a, a in file.behind(b)) for a, b in file.edges]
    return len(ways) > len(set(ways))


def _rounds(file: _Written, name: str) -> bool:
    """Return whether a chip rounds something of a node of integers."""
    node = file.nodes[name]
    if file.kind(name) in ("Affine", "Conv2d"):
        return bool(np.any(node.weight != np.rint(node.weight)))
    keys = [key for key in ("tau", "tau_mem", "tau_syn") if hasattr(node, key)]
    return any(np.any(file.steps(name, key) > 1 + CLOSE) for key in keys)


def who_reads(written: "nir.NIRGraph", *, is_on_grid: bool) -> tuple[str, ...]:
    """Return a line for each tool: how it reads a graph as it is meant, or why not."""
    lines = []
    for name, reader in READERS.items():
        why = reasons(reader, written, is_on_grid=is_on_grid)
        call = reader.call.format(dt=written.metadata["dt"])
        lines.append(
            f"{reader.title} reads it otherwise ({shortened(why)}); see --for {name}"
            if why
            else f"{reader.title} reads it as it is meant: {call}"
        )
    return tuple(lines)


def refusal(reader: NirReader, why: list[str], *, is_on_grid: bool) -> str:
    """Return why a tool would compute something else, and what to do."""
    instead = f"train what {reader.title} has"
    if is_on_grid:
        (name,) = (name for name, each in READERS.items() if each is reader)
        instead = (
            "these are the chip's integers, which few tools compute: write the model "
            f"they are made of (snn-deploy convert MODEL FILE.nir --for {name})"
        )
    found = f"{reader.title} would compute something else: {shortened(why)}"
    return f"{found}; {instead}, or write the file without naming a reader"


def shortened(why: list[str]) -> str:
    """Return the first reasons, and how many more there are."""
    more = len(why) - MOST_REASONS
    shown = why[:MOST_REASONS] if more > 0 else why
    return "; ".join([*shown, *([f"{more} more"] if more > 0 else [])])
