"""Where events happen and what they cost: by layer, neurocore and chip timestep."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.artifact import sha256_of
from snn_deploy.backends.results import Counts
from snn_deploy.chip.events import CHIP_EVENTS, CORE_EVENTS, EVENTS, INJECTION, LINKS
from snn_deploy.chip.target import BAND, end_name
from snn_deploy.costs.energy import dynamic_energy
from snn_deploy.costs.prices import Prices, prices_for
from snn_deploy.ir.mapped import MappedNetwork, Neurocore

NO_NEUROCORE = -1
MESH = "mesh and links"  # hops, and packets on links between chips

# column: unit, meaning; a row for each chip timestep and neurocore, and one for what
# belongs to none
COLUMNS = {
    "chip_timestep": ("timesteps", "counted from 1, the first of each input"),
    "neurocore": (
        "", "its index; null: hops and links between chips"
    ),
    "layer": ("", "the populations that lie there, together if they share it"),
    **{
        event.name: ("events", f"{event.meaning}, mean over the inputs")
        for event in EVENTS
        if event.is_priced
    },
    **{
        end_name("energy_dynamic_j", end): (
            "J", f"energy of these events, mean, {end} prices"
        )
        for end in BAND
    },
}  # fmt: skip
TEXTS, INTEGERS = ("layer",), ("chip_timestep", "neurocore")
NOTED = ("graph_sha256", "input_name", "input_spikes")  # beside the table


@dataclass(frozen=True, kw_only=True, eq=False)
class Detail:
    """Means over the inputs of a profile's own schedule, one by one.

    Static, reset and host energy are of the whole chip; an input that has stopped
    counts as 0.
    """

    graph_sha256: str  # of the integers, however they are mapped
    input_name: str
    input_spikes: float  # of an input, as far as the packets that the host sends tell
    layers: tuple[str, ...]  # (n_cores,)
    neurocores: IntArray  # (n_cores,), their indices
    cores: FloatArray  # (n_chip_timesteps, n_cores, n), of CORE_EVENTS
    chip: FloatArray  # (n_chip_timesteps, n + n_links), of CHIP_EVENTS and LINKS
    core_energy: FloatArray  # (n_chip_timesteps, n_cores, 3) [J]
    chip_energy: FloatArray  # (n_chip_timesteps, 3) [J]

    def columns(self) -> dict[str, list[object]]:
        """Return the table of ``COLUMNS``; an unknown energy is ``None``."""
        found: dict[str, list[object]] = {name: [] for name in COLUMNS}
        none = np.zeros(len(CORE_EVENTS))
        for t in range(len(self.chip)):
            for place, (index, layer) in enumerate(
                zip(self.neurocores, self.layers, strict=True)
            ):
                counts = [*self.cores[t, place], *np.zeros(len(CHIP_EVENTS) + 1)]
                energy = self.core_energy[t, place]
                _append(found, [t + 1, int(index), layer, *counts, *energy])
            on_chip = self.chip[t, : len(CHIP_EVENTS)]
            counts = [*none, *on_chip, self.chip[t, LINKS].sum()]
            energy = self.chip_energy[t]
            _append(found, [t + 1, NO_NEUROCORE, MESH, *counts, *energy])
        return found


def _append(table: dict[str, list[object]], row: list[object]) -> None:
    for name, value in zip(table, row, strict=True):
        is_unknown = value != value or (name == "neurocore" and value == NO_NEUROCORE)
        table[name].append(None if is_unknown else value)


def detail(
    network: MappedNetwork, totals: Counts, *, n_inputs: int, monitor: str
) -> Detail:
    """Return where the events of ``n_inputs`` happened, with their energy."""
    prices, n = prices_for(network, monitor), n_inputs
    cores, chip = totals.cores, totals.chip
    name, routes = network.graph.source.name, network.routes
    kinds, n_values = routes[name].kinds, network.graph.source.size
    # if every value of the input spikes once
    sent = int(routes[name].packets.sum(axis=1) @ kinds.n_neurons)
    return Detail(
        graph_sha256=sha256_of(network.graph),
        input_name=name,
        input_spikes=float(cores[..., INJECTION].sum() / n * n_values / max(sent, 1)),
        layers=tuple(_layer(core) for core in network.cores),
        neurocores=np.array([core.index for core in network.cores]),
        cores=cores / n,
        chip=chip / n,
        core_energy=_of_cores(cores, prices) / n,
        chip_energy=dynamic_energy(np.zeros_like(cores[:, 0]), chip, prices) / n,
    )


def _of_cores(cores: IntArray, prices: Prices) -> FloatArray:
    n_columns = len(prices.mesh_energy) + len(prices.link_energy)
    none = np.zeros((*cores.shape[:2], n_columns), np.int64)
    return dynamic_energy(cores, none, prices)


def _layer(core: Neurocore) -> str:
    return ", ".join(dict.fromkeys(piece.population for piece in core.pieces))
