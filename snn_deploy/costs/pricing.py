"""Turn what inputs did into rows: answers, counts, joules and seconds."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.results import RunResult
from snn_deploy.chip.events import (
    CHIP_EVENTS,
    COLUMNS,
    CORE_EVENTS,
    EVENTS,
    LIMIT_EVENTS,
    LINK_EVENT,
    LINKS,
)
from snn_deploy.costs.energy import PARTS, energies
from snn_deploy.costs.latency import Stream, timestep_durations
from snn_deploy.costs.prices import prices_for
from snn_deploy.ir.mapped import MappedNetwork

Values = dict[str, float | None]  # of a row, by column


class Pricing:
    """What a network costs on its target."""

    def __init__(
        self, network: MappedNetwork, labels: IntArray | None, monitor: str
    ) -> None:
        self.network = network
        self.labels = labels
        self.prices = prices_for(network, monitor)

    def serial(self, result: RunResult, *, n_polls: int) -> Values:
        """Return the row of an input that has the chip for itself.

        The next one starts when it has its answer; the time to clear the chip is
        unknown and left out.
        """
        activity = result.activity
        durations = timestep_durations(activity.cores, activity.chip, self.prices)
        wall_s = durations.sum(axis=0) + n_polls * self.prices.poll
        return self.row(
            result, activity.cores, activity.chip, latency_s=wall_s, period_s=wall_s
        )

    def stream(self, n_timesteps: int) -> "StreamPricing":
        """Return the pricing of inputs that follow one another without a gap."""
        return StreamPricing(self, n_timesteps)

    def row(
        self,
        result: RunResult,
        cores: IntArray,
        chip: IntArray,
        *,
        latency_s: FloatArray,
        period_s: FloatArray,
    ) -> Values:
        """Return the row of an input from its counts and times."""
        label = None if self.labels is None else int(self.labels[result.index])
        on_chip = chip.sum(axis=0)
        counts = dict(zip(CORE_EVENTS, cores.sum(axis=(0, 1)), strict=True))
        counts |= dict(zip(CHIP_EVENTS, on_chip, strict=False))
        counts[LINK_EVENT] = on_chip[LINKS].sum()
        counts |= {name: getattr(result.activity, f"{name}s") for name in LIMIT_EVENTS}
        parts = energies(cores, chip, period_s, self.prices)
        values: Values = {
            "index": result.index,
            "label": label,
            "prediction": result.prediction,
            "timesteps": result.timesteps,
            "chip_timesteps": len(chip),
            "stopped_early": result.stopped_early,
            "gap": result.gap,
            **{
                column: sum(counts[e.name] for e in EVENTS if e.column == column)
                for column in COLUMNS
            },
        }
        for end, suffix in enumerate(("", "_high")):
            for part, energy in zip(PARTS, parts[:, end], strict=True):
                values[f"energy_{part}{suffix}_j"] = energy
            values[f"latency{suffix}_s"] = latency_s[end]
            values[f"period{suffix}_s"] = period_s[end]
        return values


class StreamPricing:
    """Rows of inputs in a stream; each is known when its answer is out."""

    def __init__(self, pricing: Pricing, n_timesteps: int) -> None:
        network = pricing.network
        self.pricing = pricing
        self.n_timesteps = n_timesteps
        self.mapped = np.array([core.n_compartments for core in network.cores])
        self.times = Stream(
            pricing.prices,
            self.mapped,
            n_timesteps=n_timesteps,
            depth=network.graph.depth,
            lag=network.graph.lag,
        )
        self.waiting: deque[tuple[RunResult, IntArray, IntArray]] = deque()

    def push(self, result: RunResult) -> Iterator[Values]:
        """Yield the rows that are known once ``result`` has entered."""
        cores, chip = result.activity.streamed
        self.waiting.append((result, cores, chip))
        yield from self._rows(self.times.push(cores, chip))

    def finish(self) -> Iterator[Values]:
        """Yield the rows of the inputs that are still in the pipeline."""
        yield from self._rows(self.times.finish())

    def _rows(self, times: Iterable[tuple[FloatArray, FloatArray]]) -> Iterator[Values]:
        for latency_s, period_s in times:
            result, cores, chip = self.waiting.popleft()
            yield {
                **self.pricing.row(
                    result, cores, chip, latency_s=latency_s, period_s=period_s
                ),
                "chip_timesteps": self.n_timesteps,
            }
