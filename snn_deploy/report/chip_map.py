"""What colors the neurocores on a map of the chip: what lies there, or what it does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.ir.mapped import MappedNetwork, Neurocore
from snn_deploy.profile.loads import Loads
from snn_deploy.report.colors import LAYERS, graded
from snn_deploy.report.layers import layer_name
from snn_deploy.report.units import number, percent, with_prefix


@dataclass(frozen=True, kw_only=True, eq=False)
class Coloring:
    """A quantity of the neurocores, and its colors."""

    key: str
    name: str
    colors: tuple[str, ...]  # of the network's neurocores
    texts: tuple[str, ...]  # and what they are
    legend: tuple[tuple[str, str], ...]  # color, meaning


def colorings(network: MappedNetwork, loads: Loads | None) -> list[Coloring]:
    """Return the ways to color the map; those of a profile only if there is one."""
    share = np.array([utilization(network, core) for core in network.cores])
    found = [_by_layer(network)]
    found.append(
        _graded("use", "utilization", share, [percent(s, 0) for s in share.tolist()])
    )
    if loads is not None:
        texts = [number(round(n, 1)) for n in loads.packets.tolist()]
        name = "traffic: packets of an input"
        found.append(_graded("traffic", name, loads.packets, texts))
        if not np.isnan(loads.busy_s).any():
            texts = [with_prefix(time, "s") for time in loads.busy_s.tolist()]
            name = "busy time of an input, modelled"
            found.append(_graded("busy", name, loads.busy_s, texts))
    return found


def utilization(network: MappedNetwork, core: Neurocore) -> float:
    """Return the share of the resource that is used most."""
    limits = network.target.neurocore
    taken = core.taken(limits)
    return max(taken[what] / limit for what, limit in limits.room.items())


def _by_layer(network: MappedNetwork) -> Coloring:
    """Color by the populations that lie there."""
    order = [p.name for p in network.graph.populations]
    held = [
        tuple(sorted({p.population for p in core.pieces}, key=order.index))
        for core in network.cores
    ]
    graph = network.graph
    named = {p.name: layer_name(graph, p.name) for p in graph.populations}
    groups = sorted({*held}, key=lambda names: [order.index(name) for name in names])
    color = {names: LAYERS[i % len(LAYERS)] for i, names in enumerate(groups)}
    texts = tuple(
        ", ".join(f"{p.population} ({len(p.neurons):,})" for p in core.pieces)
        for core in network.cores
    )
    return Coloring(
        key="layer",
        name="layer",
        colors=tuple(color[names] for names in held),
        texts=texts,
        legend=tuple(
            (color[names], f"{_group(names, named)}: {_cores(held.count(names))}")
            for names in groups
        ),
    )


def _group(names: Sequence[str], named: Mapping[str, str]) -> str:
    return named[names[0]] if len(names) == 1 else ", ".join(names)


def _cores(n: int) -> str:
    return "1 neurocore" if n == 1 else f"{n:,} neurocores"


def _graded(key: str, name: str, values: FloatArray, texts: Sequence[str]) -> Coloring:
    """Color from dark, nothing, to bright, the most."""
    top = float(values.max(initial=0.0)) or 1.0
    colors = [graded(value / top) for value in values]
    order = np.argsort(values, kind="stable")
    marks = [int(order[i]) for i in np.unique([0, len(order) // 2, len(order) - 1])]
    words = {marks[0]: "least", marks[-1]: "most"}
    return Coloring(
        key=key,
        name=name,
        colors=tuple(colors),
        texts=tuple(texts),
        legend=tuple(
            (colors[i], f"{words.get(i, 'median')}: {texts[i]}") for i in marks
        ),
    )
