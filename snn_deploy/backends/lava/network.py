"""The Lava processes of one network, connected, and the memory that they share."""

from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from snn_deploy.arrays import BoolArray, IntArray
from snn_deploy.backends.lava.memory import (
    Job,
    Ledger,
    new_feed,
    new_ledger,
    new_raster,
    new_tape,
    shared_zeros,
)
from snn_deploy.backends.lava.processes.monitor import MonitorProcess
from snn_deploy.backends.lava.processes.population import PopulationProcess
from snn_deploy.backends.lava.processes.projection import ProjectionProcess
from snn_deploy.backends.lava.processes.source import SourceProcess
from snn_deploy.ir.quantized import (
    Population,
    QuantizedGraph,
)


class LavaNetwork:
    """One process for the input, each population, each projection, and the monitor.

    Parameters
    ----------
    graph : QuantizedGraph
    job : Job
        How long an input lasts, and what is kept of it.
    line : Connection
        The monitor's end of its conversation with the host.
    """

    def __init__(self, graph: QuantizedGraph, job: Job, line: Connection) -> None:
        self.graph = graph
        self.job = job
        n = job.n_chip_timesteps(graph)
        self.feed = new_feed(job.n_timesteps, graph)
        self.readouts: IntArray = shared_zeros((n, graph.readout.size), np.int64)
        self.looks: BoolArray = shared_zeros((job.n_timesteps + 1,), np.bool_)
        sizes = {p.name: p.size for p in graph.populations}
        self.busy = {name: new_raster(n, size) for name, size in sizes.items()}
        sizes[graph.source.name] = graph.source.size
        self.sent = {name: new_raster(n, size) for name, size in sizes.items()}
        # saturations and wraps of each population in each chip timestep
        self.limited: dict[str, IntArray] = {
            p.name: shared_zeros((n, 2), np.int64) for p in graph.populations
        }
        self.tapes = {p.name: new_tape(n, p, job.quantities) for p in graph.populations}
        n_processes = 2 + len(graph.populations) + len(graph.projections)
        self.family: IntArray = shared_zeros((n_processes + 2,), np.int64)
        self.ledgers: list[Ledger] = []
        self.processes = self._connected(line)

    def _connected(self, line: Connection) -> list[Any]:
        graph = self.graph
        source = SourceProcess(
            source=graph.source,
            feed=self.feed,
            sent=self.sent[graph.source.name],
            ledger=self._ledger(graph.source.name),
        )
        populations = {p.name: self._population(p) for p in graph.populations}
        projections = [
            ProjectionProcess(graph=graph, projection=p, ledger=self._ledger(p.name))
            for p in graph.projections
        ]
        for projection, process in zip(graph.projections, projections, strict=True):
            populations.get(projection.source, source).spikes.connect(process.spikes)
            process.sums.connect(populations[projection.target].arriving)
        monitor = MonitorProcess(
            graph=graph,
            job=self.job,
            readouts=self.readouts,
            looks=self.looks,
            line=line,
            family=self.family,
            ledger=self._ledger("monitor"),
        )
        if graph.readout.spikes:
            populations[graph.output].spikes.connect(monitor.spikes)
        else:
            populations[graph.output].voltage.connect(monitor.voltage)
        return [monitor, source, *populations.values(), *projections]

    def _population(self, population: Population) -> PopulationProcess:
        name = population.name
        return PopulationProcess(
            population=population,
            current_decay_offset=self.graph.precision.current_decay_offset,
            reset_every=self.job.reset_every,
            held_after=self.job.held_after(self.graph),
            feed=self.feed,
            sent=self.sent[name],
            busy=self.busy[name],
            limited=self.limited[name],
            tape=self.tapes[name],
            ledger=self._ledger(name),
        )

    def _ledger(self, name: str) -> Ledger:
        self.ledgers.append(new_ledger(name))
        return self.ledgers[-1]
