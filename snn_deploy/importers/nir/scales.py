"""Multiply the ``Scale`` nodes of a NIR network into the weights beside them."""

from dataclasses import replace
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.nir.file import Primitive, Primitives

WEIGHTED = ("Affine", "Linear", "Conv1d", "Conv2d")


def fold_scales(network: Primitives) -> Primitives:
    """Return the same network with as few ``Scale`` nodes as possible.

    One that follows a weight layer scales what that gives, one that is followed by
    weight layers only scales what they take. Between spikes and neurons it stays.
    """
    nodes, edges = dict(network.nodes), list(network.edges)
    output = network.output
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
            output = layer.name if output == name else output
        elif name != output and _is_alone(nodes, edges, behind, targets=False):
            for target in behind:
                scale = primitive.array("scale")
                nodes[target] = _with_columns(nodes[target], scale, name)
            edges = [(a, b) for a, b in edges if name not in (a, b)]
            edges += [(a, b) for a in before for b in behind]
        else:
            continue
        del nodes[name]
    return replace(network, nodes=nodes, edges=edges, output=output)


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
