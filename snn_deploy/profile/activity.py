"""What the layers of a network do for an input, and how its classes fare."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.chip.events import FIRE, SYNAPTIC_OPERATION
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.profile import Profile


@dataclass(frozen=True, kw_only=True)
class Group:
    """A layer, or several that share neurocores, where events are counted."""

    names: tuple[str, ...]
    n_neurons: int
    spikes: float  # of an input, mean
    operations: float  # synaptic operations there, of an input, mean


def activity_of(profile: Profile) -> list[Group]:
    """Return the means of ``profile.rows`` by layer, in the network's order."""
    network = profile.artifact.network
    order = [p.name for p in network.graph.populations]
    means = profile.totals.cores.sum(axis=0) / len(profile.rows)
    found = []
    for names in _together(network):
        mine = [
            i
            for i, core in enumerate(network.cores)
            if core.pieces[0].population in names
        ]
        found.append(
            Group(
                names=tuple(sorted(names, key=order.index)),
                n_neurons=sum(network.graph.population(name).size for name in names),
                spikes=float(means[mine, FIRE].sum()),
                operations=float(means[mine, SYNAPTIC_OPERATION].sum()),
            )
        )
    return sorted(found, key=lambda group: order.index(group.names[0]))


def _together(network: MappedNetwork) -> list[set[str]]:
    """Return the populations in groups, none of which shares a neurocore."""
    groups = [{p.name} for p in network.graph.populations]
    for core in network.cores:
        names = {piece.population for piece in core.pieces}
        mine = [group for group in groups if group & names]
        if len(mine) > 1:
            groups = [group for group in groups if group not in mine]
            groups.append(set().union(*mine))
    return groups


@dataclass(frozen=True, kw_only=True)
class ClassShare:
    """How many inputs of a class are right, in each way to serve."""

    label: int
    n: int
    n_right: tuple[int, int]  # as profiled, and at all timesteps


def classes_of(profile: Profile) -> list[ClassShare]:
    """Return the shares of each class, the worst first."""
    labels = profile.rows.column("label")
    ways = profile.rows.is_right, profile.fixed_rows.is_right
    found = [
        ClassShare(
            label=int(label),
            n=int((labels == label).sum()),
            n_right=(int(ways[0][labels == label].sum()),
                     int(ways[1][labels == label].sum())),
        )
        for label in np.unique(labels)
    ]  # fmt: skip
    return sorted(found, key=lambda share: (share.n_right[0] / share.n, share.label))
