"""Cut a network for a goal: least energy, least time, or few neurocores."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

from snn_deploy.arrays import IntArray
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.blocks import Cut
from snn_deploy.compiler.map.effort import Effort, Efforts
from snn_deploy.compiler.map.pack import pack
from snn_deploy.compiler.map.partition import Partition, most_blocks, partition
from snn_deploy.errors import PassError
from snn_deploy.ir.mapped import GOALS
from snn_deploy.ir.quantized import Population, QuantizedGraph

ENERGY, LATENCY, CORES = GOALS
# prices without which a model of a timestep says nothing
_EVENTS = ("access", "update", "synaptic_operation")
_TIMES = tuple((name, "time_s") for name in _EVENTS)
_ENERGIES = (*((name, "energy_j") for name in _EVENTS), ("static", "power_w"))
NEEDED = {ENERGY: (*_TIMES, *_ENERGIES), LATENCY: _TIMES, CORES: ()}
MOST_INJECTED = 2  # times what few neurocores need, where nobody knows what it costs
RATIO = 2**0.5  # of a tried number of neurocores and the one before
STEPS = 3  # between the last that are enough and the first that are not
ALIKE = 0.01  # no difference for a model as rough as this


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """A cut for a goal, and what it and those for other goals would take."""

    goal: str
    target: Target
    cut: Partition
    efforts: Mapping[str, Effort]  # by goal, as far as looked at
    is_measured: bool  # how many spikes there are, else assumed


def unknown_for(goal: str, target: Target) -> tuple[str, ...]:
    """Return the prices that a goal needs and nobody knows."""
    words = {"time_s": "time", "energy_j": "energy", "power_w": "power"}
    return tuple(
        f"{words[quantity]} of {name.replace('_', ' ')}"
        for name, quantity in NEEDED[goal]
        if getattr(target.cost(name), quantity) is None
    )


def checked_goal(goal: str) -> str:
    """Return ``goal``.

    Raises
    ------
    PassError
        If there is no such goal.
    """
    if goal not in GOALS:
        raise PassError(
            f"optimize: there is no goal {goal!r}; choose from {', '.join(GOALS)}"
        )
    return goal


def goal_on(target: Target, wanted: str | None = None) -> str:
    """Return the goal of a mapping: energy, or few neurocores without its prices.

    A goal that is ``wanted`` is taken if the target has the prices that it needs.
    """
    for goal in (wanted, ENERGY):
        if goal in GOALS and not unknown_for(goal, target):
            return goal
    return CORES


def choose(
    graph: QuantizedGraph,
    target: Target,
    goal: str,
    spikes: Mapping[str, float] | None = None,
    *,
    compares: bool = False,
) -> Choice:
    """Return the cut for a goal.

    Least energy, or time, is that of a model (``Efforts``) on the chips that are
    needed anyway, whose static power is paid anyway: the busiest layers get more
    pieces. Where it makes no difference, fewer neurocores are taken. What the host
    sends is part of it where its time is known; else cuts with more than
    ``MOST_INJECTED`` times the packets that few neurocores need are not looked at.

    Parameters
    ----------
    graph, target
    goal : str
        One of ``GOALS``.
    spikes : mapping, optional
        How many spikes each population sends for an input; a tenth of the neurons at
        every timestep if it is not given.
    compares : bool
        Look at the other goals too, as far as their prices are known.
    """
    efforts = Efforts(graph, target, spikes)
    apart = partition(graph, target, bounds=efforts.bounds)
    few = pack(apart, target)
    found = {CORES: (efforts.of(few), few)}
    wanted = {goal}
    if len(few.together) > target.neurocores:  # no cut fits: ``check_rules`` says so
        found[goal] = found[CORES]
        wanted = {CORES}
    elif compares:
        wanted |= {other for other in GOALS if not unknown_for(other, target)}
    if wanted != {CORES}:
        sent = efforts.sent(few)
        cuts = [apart, *_finer(efforts, apart, sent)]
        if not target.cost("injection").time_s:
            most = MOST_INJECTED
            cuts = [c for c in cuts if _times_more(efforts.sent(c), sent) <= most]
        known = [found[CORES], *((efforts.of(cut), cut) for cut in cuts)]
        fits = [pair for pair in known if pair[0].n_cores <= target.neurocores]
        for other in wanted - {CORES}:
            found[other] = _best(fits, other)
    return Choice(
        goal=goal,
        target=target,
        cut=replace(found[goal][1], goal=goal),
        efforts={other: found[other][0] for other in GOALS if other in found},
        is_measured=spikes is not None,
    )


def _best(known: list[tuple[Effort, Partition]], goal: str) -> tuple[Effort, Partition]:
    """Return the cut with the fewest neurocores of those that are best alike."""
    worth = [e.energy_j if goal == ENERGY else e.time_s for e, _ in known]
    alike = min(worth) * (1 + ALIKE)
    best = [pair for pair, w in zip(known, worth, strict=True) if w <= alike]
    return min(best, key=lambda pair: pair[0].n_cores)


def _finer(efforts: Efforts, apart: Partition, sent: IntArray) -> Iterator[Partition]:
    """Yield cuts that divide the work of the layers ever finer.

    ``sent`` is how many packets few neurocores need for each value of the input.
    """
    base = efforts.sent(apart)
    most = MOST_INJECTED / max(_times_more(base, sent), 1)
    yield from _divided(efforts, apart, lambda time: most)
    price = efforts.target.cost("injection").time_s
    if price:
        injecting = efforts.injected(apart) * price
        yield from _divided(efforts, apart, lambda time: max(1, time / injecting))


def _times_more(sent: IntArray, few: IntArray) -> float:
    """Return how many times more packets are sent: of all values, or of the middle.

    What an image shows often lies there, and there more blocks read the same values.
    """
    middle = tuple(slice(n // 4, n - n // 4) for n in sent.shape[1:])
    parts = (..., (slice(None), *middle))
    return max(float(sent[part].sum() / max(few[part].sum(), 1)) for part in parts)


def _divided(
    efforts: Efforts, apart: Partition, allowed: Callable[[float], float]
) -> Iterator[Partition]:
    """Yield cuts into as many pieces as the chips of ``apart`` hold, or fewer.

    ``allowed`` says how many times more packets than for ``apart`` the host may send,
    by the time that the work of a timestep is to take.
    """
    busy, target = efforts.busy(), efforts.target
    total, bounds = sum(busy.values()), efforts.bounds
    room = min(target.neurocores, efforts.of(apart).n_chips * target.mesh.neurocores)
    tried = {name: cut.n_blocks for name, cut in apart.cuts.items()}
    low, high, n, left = 1, room + 1, 1, STEPS
    while total and high - low > 1 and left:
        n = min(ceil(n * RATIO), room) if high > room else (low + high) // 2
        left -= high <= room or n == room
        at_least = {name: ceil(n * time / total) for name, time in busy.items()}
        at_least |= _readers(efforts, apart, at_least, allowed(total / n))
        if all(at_least[name] <= n_blocks for name, n_blocks in tried.items()):
            low = n
            continue
        finer = partition(efforts.graph, target, at_least=at_least, bounds=bounds)
        if len(finer.pieces) > room:
            high = n
        else:
            low = n
            tried = {name: cut.n_blocks for name, cut in finer.cuts.items()}
            yield finer


def _readers(
    efforts: Efforts, apart: Partition, at_least: Mapping[str, int], allowed: float
) -> dict[str, int]:
    """Return how many blocks those that read the input have, so that few are sent."""
    found = {}
    for reader in efforts.readers:
        base = efforts.sent_to(reader, apart.cuts[reader.name])

        def may(cut: Cut, reader: Population = reader, base: IntArray = base) -> bool:
            return _times_more(efforts.sent_to(reader, cut), base) <= allowed

        wanted = at_least[reader.name]
        found[reader.name] = most_blocks(
            efforts.bounds, reader, apart.cuts, may, wanted
        )
    return found
