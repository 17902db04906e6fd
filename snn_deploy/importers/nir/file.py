"""The nodes and edges of a NIR file, without what changes nothing.

Nested graphs and identities are dissolved, ``Scale`` nodes multiplied into the weights
beside them where there are such.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.hdf5 import read_hdf5

GRAPH = "NIRGraph"
IDENTITIES = ("Input", "Output", "Identity")


@dataclass(frozen=True, kw_only=True, eq=False)
class Primitive:
    """One node of the file: its name, its kind, its parameters."""

    name: str
    kind: str
    values: dict[str, Any] = field(repr=False)

    def array(self, key: str, default: float | None = None) -> FloatArray:
        """Return a parameter as an array of floats.

        Raises
        ------
        ModelError
            If it is missing and has no default, or is not a number.
        """
        value = self.values.get(key, default)
        if value is None:
            raise ModelError(
                f"{self.name}: NIR's {self.kind} has no {key!r}; write the file again "
                "with nir 1.0 or later"
            )
        try:
            return np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise ModelError(
                f"{self.name}: {key} is {value!r}, not a number; write the file again"
            ) from None

    @property
    def metadata(self) -> dict[str, Any]:
        """What a tool has noted beside the parameters."""
        return metadata_of(self.values)


@dataclass(frozen=True, kw_only=True, eq=False)
class Primitives:
    """The network of a file: ``edges`` lead from ``inputs`` to ``outputs``."""

    nodes: dict[str, Primitive]
    edges: list[tuple[str, str]]
    inputs: tuple[str, ...]
    outputs: dict[str, str]  # by the name of the output, the node that is read out
    metadata: dict[str, Any]


def metadata_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of a node or a graph."""
    found = values.get("metadata", {})
    return found if isinstance(found, dict) else {}


def read_primitives(path: Path) -> Primitives:
    """Return the network in the NIR file at ``path``.

    A nested graph's nodes are called ``graph.node``. ``Identity`` nodes, and the inputs
    and outputs of nested graphs, are left out: what leads to one leads on.

    Raises
    ------
    ModelError
        If the file is damaged, has no input or no output, or holds nodes that are not
        between the two.
    """
    root = read_hdf5(path).get("node")
    if not isinstance(root, dict) or "nodes" not in root:
        raise ModelError(f"{path}: not a NIR file; write it again with nir.write")
    nodes: dict[str, Primitive] = {}
    edges: nx.DiGraph[str] = nx.DiGraph()
    _collect(path, root, "", nodes, edges)
    top = {kind: [str(n) for n, v in root["nodes"].items() if v["type"] == kind]
           for kind in ("Input", "Output")}  # fmt: skip
    for kind, names in top.items():
        if not names:
            raise ModelError(
                f"{path}: has no node of kind {kind}, needed is 1; export an input and "
                "an output"
            )
    starts, ends = top["Input"], top["Output"]
    for name in [n for n, p in nodes.items() if p.kind in IDENTITIES]:
        if name not in (*starts, *ends):
            _contract(nodes, edges, name)
    _check_connected(path, edges, starts, ends)
    outputs = {end: _fed_by(path, edges, end) for end in ends}
    for end in ends:
        del nodes[end]
        edges.remove_node(end)
    return Primitives(
        nodes=nodes,
        edges=list(edges.edges),
        inputs=tuple(starts),
        outputs=outputs,
        metadata=metadata_of(root),
    )


def _fed_by(path: Path, edges: "nx.DiGraph[str]", end: str) -> str:
    found = list(edges.predecessors(end))
    if len(found) != 1:
        raise ModelError(
            f"{path}: {len(found)} nodes feed the output ({', '.join(found)}), needed "
            "is 1; put a layer behind them"
        )
    return str(found[0])


def _collect(
    path: Path,
    graph: dict[str, Any],
    prefix: str,
    nodes: dict[str, Primitive],
    edges: "nx.DiGraph[str]",
) -> None:
    """Add a graph's nodes and edges, and those of the graphs inside it."""
    content = graph["nodes"]
    inside: dict[str, dict[str, str]] = {}  # nested graph: its input and its output
    for name, values in content.items() if isinstance(content, dict) else ():
        kind = values.get("type") if isinstance(values, dict) else None
        if not isinstance(kind, str):
            raise ModelError(f"{path}: {prefix}{name}: no node of NIR; write it again")
        if kind == GRAPH:
            _collect(path, values, f"{prefix}{name}.", nodes, edges)
            inside[name] = _ports(path, f"{prefix}{name}", values)
        else:
            full = prefix + name
            nodes[full] = Primitive(name=full, kind=kind, values=values)
            edges.add_node(full)
    for source, target in _pairs(path, graph):
        ends = []
        for end, port in ((source, "Output"), (target, "Input")):
            if end not in content:
                raise ModelError(
                    f"{path}: {prefix}{end}: an edge names this node, none has it; "
                    "write the file again"
                )
            inner = inside.get(end)
            ends.append(f"{prefix}{end}.{inner[port]}" if inner else prefix + end)
        edges.add_edge(*ends)


def _ports(path: Path, name: str, graph: dict[str, Any]) -> dict[str, str]:
    ports = {}
    for kind in ("Input", "Output"):
        found = [n for n, v in graph["nodes"].items() if v["type"] == kind]
        if len(found) != 1:
            raise ModelError(
                f"{path}: {name}: a nested graph with {len(found)} nodes of kind "
                f"{kind}, needed is 1; write it with one input and one output"
            )
        ports[kind] = found[0]
    return ports


def _pairs(path: Path, graph: dict[str, Any]) -> Iterator[tuple[str, str]]:
    edges: AnyArray = np.asarray(graph.get("edges", []))
    if edges.size and (edges.ndim != 2 or edges.shape[1] != 2):
        raise ModelError(f"{path}: edges of shape {edges.shape}, needed is (n, 2)")
    for source, target in edges.reshape(-1, 2):
        yield str(source), str(target)


def _contract(nodes: dict[str, Primitive], edges: "nx.DiGraph[str]", name: str) -> None:
    """Remove a node that changes nothing."""
    before, behind = list(edges.predecessors(name)), list(edges.successors(name))
    edges.remove_node(name)
    edges.add_edges_from((a, b) for a in before for b in behind if name not in (a, b))
    del nodes[name]


def _check_connected(
    path: Path, edges: "nx.DiGraph[str]", starts: list[str], ends: list[str]
) -> None:
    reached = {*starts}.union(*(nx.descendants(edges, start) for start in starts))
    used = {*ends}.union(*(nx.ancestors(edges, end) for end in ends))
    for name in edges:
        if name not in reached:
            raise ModelError(
                f"{path}: {name}: nothing leads from the input to this node; connect "
                "it or leave it out"
            )
        if name not in used:
            raise ModelError(
                f"{path}: {name}: leads nowhere, only what the output needs can be "
                "deployed; leave it out"
            )


WEIGHTED = ("Affine", "Linear", "Conv1d", "Conv2d")


def fold_scales(network: Primitives) -> Primitives:
    """Return the same network with as few ``Scale`` nodes as possible.

    One that follows a weight layer scales what that gives, one that is followed by
    weight layers only scales what they take. Between spikes and neurons it stays.
    """
    nodes, edges = dict(network.nodes), list(network.edges)
    outputs = dict(network.outputs)
    for name, primitive in network.nodes.items():
        if primitive.kind != "Scale":
            continue
        before = [a for a, b in edges if b == name]
        behind = [b for a, b in edges if a == name]
        if _is_alone(nodes, edges, before, targets=True):
            layer = nodes[before[0]]
            nodes[before[0]] = _with_rows(layer, primitive.array("scale"), name)
            edges = [(a, b) for a, b in edges if b != name]
            edges = [(layer.name if a == name else a, b) for a, b in edges]
            outputs = {e: layer.name if o == name else o for e, o in outputs.items()}
        elif name not in outputs.values() and _is_alone(
            nodes, edges, behind, targets=False
        ):
            for target in behind:
                scale = primitive.array("scale")
                nodes[target] = _with_columns(nodes[target], scale, name)
            edges = [(a, b) for a, b in edges if name not in (a, b)]
            edges += [(a, b) for a in before for b in behind]
        else:
            continue
        del nodes[name]
    return replace(network, nodes=nodes, edges=edges, outputs=outputs)


def _is_alone(
    nodes: dict[str, Primitive],
    edges: list[tuple[str, str]],
    names: list[str],
    *,
    targets: bool,
) -> bool:
    """Return whether these are weight layers with no other target, or source."""
    end = 0 if targets else 1
    return (
        bool(names)
        and (len(names) == 1 or not targets)
        and all(nodes[n].kind in WEIGHTED for n in names)
        and all(sum(edge[end] == n for edge in edges) == 1 for n in names)
    )


def _with_rows(layer: Primitive, scale: FloatArray, name: str) -> Primitive:
    weight = _weight(layer)
    factors = _per_channel(scale, len(weight), layer, name)
    along = factors.reshape(-1, *(1,) * (weight.ndim - 1))
    values: dict[str, Any] = {**layer.values, "weight": weight * along}
    if "bias" in layer.values:
        values["bias"] = layer.array("bias") * factors
    return replace(layer, values=values)


def _with_columns(layer: Primitive, scale: FloatArray, name: str) -> Primitive:
    weight = _weight(layer)
    groups = int(layer.array("groups", 1.0).reshape(-1)[0])
    factors = _per_channel(scale, weight.shape[1] * groups, layer, name)
    rows = np.repeat(factors.reshape(groups, -1), len(weight) // groups, axis=0)
    along = rows.reshape(*weight.shape[:2], *(1,) * (weight.ndim - 2))
    return replace(layer, values={**layer.values, "weight": weight * along})


def _weight(layer: Primitive) -> FloatArray:
    return np.atleast_2d(layer.array("weight"))


def _per_channel(
    scale: FloatArray, channels: int, layer: Primitive, name: str
) -> FloatArray:
    """Return one factor for each channel, of one, one each, or one per position."""
    if scale.size == 1:
        return np.full(channels, scale.item())
    rows = scale.reshape(len(scale), -1)
    if len(rows) != channels or np.any(rows != rows[:, :1]):
        raise ModelError(
            f"{name}: factors of shape {scale.shape} beside {layer.name}, which has "
            f"{channels} channels; give one factor for each channel"
        )
    return np.array(rows[:, 0])
