"""How long an input takes on the chip, from what happened at each timestep."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.results import CORE_EVENTS, INJECTION, Activity
from snn_deploy.target import Target

GENERATING = ("access", "update", "fire", "packet")
RECEIVING = ("packet_in", "synaptic_operation")
MONITORS = ("embedded", "host")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the host drives the chip."""

    n_polls: int  # timesteps at which it reads the outputs
    monitor: str  # "embedded" on the board, or "host"
    n_tiles: int  # in use
    n_chips: int = 1


def timestep_durations(
    activity: Activity, target: Target, schedule: Schedule, *, high: bool
) -> FloatArray | None:
    """Return the duration of each chip timestep [s], polls not included.

    ``None`` if it takes an event whose time is unknown.

    A timestep lasts as long as its slowest neurocore computes and sends, or receives,
    and then synchronizes. The host sends inputs meanwhile, if their time is known.
    """
    generating = _busiest(activity, target, GENERATING, high=high)
    receiving = _busiest(activity, target, RECEIVING, high=high)
    if generating is None or receiving is None:
        return None
    chip = np.maximum(generating, receiving)
    chip = chip + target.barrier.time(schedule.n_tiles, high=high)
    inject = _time(target, "injection", high=high)
    injecting = activity.chip[:, INJECTION] * (inject or 0.0)
    durations: FloatArray = np.maximum(chip, injecting)
    return durations


def latency(
    activity: Activity, target: Target, schedule: Schedule, *, high: bool
) -> float | None:
    """Return the time from the first timestep of an input to its answer [s].

    ``None`` if it takes an event whose time is unknown; only the injection of inputs is
    left out where its time is.
    """
    durations = timestep_durations(activity, target, schedule, high=high)
    poll = _time(target, f"poll_{schedule.monitor}", high=high)
    if durations is None or poll is None:
        return None
    return float(durations.sum() + schedule.n_polls * poll)


def _busiest(
    activity: Activity, target: Target, events: tuple[str, ...], *, high: bool
) -> FloatArray | None:
    """Return the time of the busiest neurocore at each timestep [s]."""
    prices = np.zeros(len(CORE_EVENTS))
    for event in events:
        time = _time(target, event, high=high)
        if time is None and activity.total(event):
            return None
        prices[CORE_EVENTS.index(event)] = time or 0.0
    busiest: FloatArray = (activity.cores @ prices).max(axis=1)
    return busiest


def _time(target: Target, name: str, *, high: bool) -> float | None:
    cost = target.cost(name)
    return cost.time_high_s if high else cost.time_s


def unknown_times(target: Target, schedule: Schedule) -> list[str]:
    """Return the events that take a time nobody has published."""
    needed = (*GENERATING, *RECEIVING, "injection", f"poll_{schedule.monitor}")
    return [name for name in needed if target.cost(name).time_s is None]
