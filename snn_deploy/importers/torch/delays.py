"""Put states where they are kept, and build one timestep of streams."""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.axes import Part
from snn_deploy.importers.torch.record import LAYER
from snn_deploy.importers.torch.streams import (
    COMMUTATIVE,
    DIFFERENT,
    NEUTRAL,
    REWRITE,
    Operand,
    Stream,
    operands_of,
    place_of,
)
from snn_deploy.importers.torch.timestep import LATE, Before, Item, Source

# what is computed in the timestep that it acts in; other calls, as early as they can be
ANCHORED = (
    LAYER,
    "input",
    "part",
    "linear",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "batch_norm",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class OneTimestep:
    """The items of one timestep, in order, and what they are in each of them."""

    items: tuple[Item, ...]
    output: Item
    rows: Mapping[Item, Mapping[int, Item]]


def move(streams: Sequence[Stream], last: Operand) -> None:
    """Let everything act as early as it can, so that states are what is late."""
    into: dict[Stream, list[Operand]] = {stream: [] for stream in streams}
    into[last.stream].append(last)
    for stream in streams:
        for operand in operands_of(stream):
            into[operand.stream].append(operand)
    todo = deque(streams)
    for _ in range(len(streams) ** 2 + len(streams)):
        if not todo:
            break
        stream = todo.popleft()
        delay = _spare(stream)
        if not delay:
            continue
        stream.items = {i - delay: item for i, item in stream.items.items()}
        stream.early = {i - delay: part for i, part in stream.early.items()}
        for operand in operands_of(stream):
            operand.delay -= delay
        for operand in into[stream]:
            operand.delay += delay
        todo += [s for s in streams if any(o.stream is stream for o in operands_of(s))]


def start(streams: Sequence[Stream]) -> None:
    """Let what is added to nothing in the first timestep be nothing there."""
    for stream in streams:
        if not isinstance(stream.early.get(0), Item):
            continue
        for operand in operands_of(stream):
            other = operand.stream
            if not (operand.delay or other.is_static or 0 in other.items):
                nothing = NEUTRAL.get(stream.example.operation, 0.0)
                other.early.setdefault(0, nothing)


def _spare(stream: Stream) -> int:
    """Return how many timesteps earlier a stream could be computed."""
    if stream.is_static or stream.example.operation in ANCHORED:
        return 0
    return min((operand.delay for operand in operands_of(stream)), default=0)


def wait(streams: Sequence[Stream]) -> None:
    """Let what is constant until a late input acts be so from the start.

    Until then the input is nothing. All of it is seen where the module is compared,
    since it is the same for every input.

    Raises
    ------
    ModelError
        If a state is no longer 0 by then: with which value it begins is not known.
    """
    for stream in streams:
        for operand in operands_of(stream):
            if operand.stream.example.operation == "input":
                for n in range(1, operand.delay + 1):
                    operand.stream.early.setdefault(-n, 0.0)
    late = _after_input(streams)
    most = max(late.values(), default=0)
    first = {s: min(s.early, default=-1) for s in streams if late.get(s)}
    waiting = [s for s, n in first.items() if n >= 0 and _is_waiting(s, n)]
    _check_states(streams, waiting)
    for stream in waiting:
        constant = stream.early[first[stream]]
        stream.early |= {-n: constant for n in range(1, most + 2)}
        for n in range(first[stream] + 1):  # they come to it themselves
            stream.early.pop(n, None)


def _check_states(streams: Sequence[Stream], waiting: Sequence[Stream]) -> None:
    states = {o.stream for s in streams for o in operands_of(s) if o.delay}
    for stream in waiting:
        if stream in states and not _stays(stream):
            raise ModelError(
                f"{place_of(stream.example)}: a state is not 0 any more when the "
                "input, which is late, begins to act; begin with zeros, and train the "
                "layers behind a late input without a bias"
            )


def _stays(stream: Stream) -> bool:
    """Return whether what is constant is so for good: 0, or computed from zeros."""
    constants = [part for n, part in stream.early.items() if n >= 0]
    if any(isinstance(part, Item) for part in constants):
        return True
    if constants and not any(torch.as_tensor(part).any() for part in constants):
        return True
    operands = operands_of(stream)
    is_own = stream.example.operation not in ANCHORED and bool(operands)
    return is_own and all(not o.delay and _stays(o.stream) for o in operands)


def _is_waiting(stream: Stream, first: int) -> bool:
    """Return whether a constant, no initial state, stands for the first timesteps."""
    return not isinstance(stream.early[first], Item) and not _is_started(stream)


def check_counts(streams: Sequence[Stream], last: Operand, n: int) -> None:
    """Raise an error unless each layer is called once in each of ``n`` timesteps.

    But for the first and the last ones, where the input comes too late to be heard, or
    to be seen.
    """
    before, behind = _after_input(streams), _before_output(last)
    for stream in streams:
        item = stream.example
        is_layer = item.operation in ANCHORED and item.operation != "part"
        n_calls = len(stream.items) + _is_started(stream)
        if not is_layer or stream.is_static or n_calls == n:
            continue
        first, end = min(stream.items), max(stream.items) + 1
        is_late = first <= before.get(stream, 0) and n - end <= behind[stream]
        if not is_late or n_calls != end - first:
            raise ModelError(
                f"{place_of(item)}: forward calls this layer {n_calls} times "
                f"in {n} timesteps; {REWRITE}"
            )


def _before_output(last: Operand) -> dict[Stream, int]:
    """Return how many timesteps pass at least from each stream to the output."""
    late = {last.stream: last.delay}
    todo = [last.stream]
    while todo:
        stream = todo.pop()
        for operand in operands_of(stream):
            found = late[stream] + operand.delay
            if found < late.get(operand.stream, found + 1):
                late[operand.stream] = found
                todo.append(operand.stream)
    return late


def _after_input(streams: Sequence[Stream]) -> dict[Stream, int]:
    """Return how many timesteps pass at least from the input to each stream."""
    late = {s: 0 for s in streams if s.example.operation == "input"}
    for _ in streams:
        before = dict(late)
        for stream in streams:
            found = [
                late[o.stream] + o.delay
                for o in operands_of(stream)
                if o.stream in late
            ]
            if found and stream.example.operation != "input":
                late[stream] = min(found)
        if late == before:
            break
    return late


def built(
    streams: Sequence[Stream], last: Operand, order: Mapping[Item, int], n: int
) -> OneTimestep:
    """Return the timestep that streams repeat; ``order`` is that of the calls."""
    chains = _Chains()
    items: dict[Stream, Item] = {}
    for stream in streams:
        it = stream.example
        items[stream] = Item(
            operation=it.operation,
            options={k: v for k, v in it.options.items() if k != "timestep"},
            module=it.module,
            path=it.path,
            shape=it.shape,
        )
    for stream, item in items.items():
        item.sources = tuple(
            _source(o, stream, items, chains) for o in stream.operands or ()
        )
    output = items[last.stream]
    if last.delay and -1 not in last.stream.early:
        raise ModelError(
            "forward returns what the timestep before has computed; return what this "
            "timestep gives"
        )
    if last.delay:
        output = chains.late(output, last.stream, last.delay, "detach")
    rows = {
        item: dict.fromkeys(range(n), s.example) if s.is_static else s.items
        for s, item in items.items()
    }
    in_order = (items[s] for s in _sorted(streams, order))
    return OneTimestep(items=(*in_order, *chains.items), output=output, rows=rows)


class _Chains:
    """Items that give what others gave some timesteps before."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def late(
        self, item: Item, stream: Stream, delay: int, operation: str = LATE
    ) -> Item:
        """Return an item that gives what ``item`` gave ``delay`` timesteps before."""
        for n in range(1, delay + 1):
            initial = stream.early.get(-n)
            if initial is None or isinstance(initial, Item):
                raise ModelError(
                    f"{place_of(item)}: forward uses what was computed {n} timesteps "
                    "before, and something else where there is none; begin with a "
                    "constant"
                )
            item = Item(
                operation=operation,
                sources=(Before(item, initial),),
                path=item.path,
                shape=item.shape,
            )
            self.items.append(item)
        return item


def _source(
    operand: "Operand | Part",
    stream: Stream,
    items: Mapping[Stream, Item],
    chains: _Chains,
) -> Source:
    if not isinstance(operand, Operand):
        return operand
    item, source = items[operand.stream], operand.stream
    if operand.delay == 0:
        if 0 in source.early and not _is_started(source):
            raise ModelError(f"{place_of(item)}: {DIFFERENT}")
        return item
    if operand.delay > 1:
        item = chains.late(item, source, operand.delay - 1)
    if -operand.delay in source.early:
        initial = source.early[-operand.delay]
    elif _is_started(stream):
        initial = NEUTRAL.get(stream.example.operation, 0.0)
    else:
        raise ModelError(f"{place_of(item)}: {DIFFERENT}")
    if isinstance(initial, Item):
        raise ModelError(f"{place_of(item)}: {DIFFERENT}")
    return Before(item, initial)


def _is_started(stream: Stream) -> bool:
    """Return whether what stands for a first timestep is what a state of 0 gives.

    So it is where the first timestep has no state yet,
    ``mem = x if mem is None else mem * decay + x``, and where it gives a layer none.
    """
    if 0 not in stream.early:
        return False
    first, operands = stream.early[0], operands_of(stream)
    if not isinstance(first, Item):
        is_late = len(operands) == 1 and operands[0].delay == 1
        is_late = is_late and not operands[0].stream.early
        return is_late and _is_bias(stream.example, first)
    if stream.example.operation not in NEUTRAL or len(operands) != 2:
        return False
    given = [_at_first(operand) for operand in operands]
    nothing = NEUTRAL[stream.example.operation]
    is_commutative = stream.example.operation in COMMUTATIVE
    return (given[0] is first and given[1] in (None, nothing)) or (
        is_commutative and given[1] is first and given[0] in (None, nothing)
    )


def _at_first(operand: Operand) -> Part | None:
    """Return what an operand is in the first timestep; ``None`` if that is open."""
    if operand.stream.is_static:
        return operand.stream.example
    index = -operand.delay
    return operand.stream.items.get(index, operand.stream.early.get(index))


def _is_bias(item: Item, value: Part) -> bool:
    """Return whether a layer of weights gives ``value`` where it is given 0."""
    held: Any = item.module or item.options.get
    weight, bias = (
        (held("weight"), held("bias"))
        if item.module is None
        else (getattr(held, "weight", None), getattr(held, "bias", None))
    )
    if weight is None or not isinstance(value, float | torch.Tensor):
        return False
    if bias is None:
        return not torch.as_tensor(value).any()
    rows = bias.detach().reshape(-1, *(1 for _ in item.shape[1:]))
    return bool((torch.as_tensor(value) == rows).all())


def _sorted(streams: Sequence[Stream], order: Mapping[Item, int]) -> list[Stream]:
    """Return streams in an order in which each follows what feeds it."""
    before = {
        stream: {o.stream for o in operands_of(stream) if o.delay == 0}
        for stream in streams
    }
    number = {stream: i for i, stream in enumerate(streams)}

    def rank(stream: Stream) -> tuple[int, int]:
        return min(order[i] for i in _all_items(stream)), number[stream]

    ready = [(*rank(s), s) for s in streams if not before[s]]
    heapq.heapify(ready)
    behind: dict[Stream, list[Stream]] = {stream: [] for stream in streams}
    for stream, sources in before.items():
        for source in sources:
            behind[source].append(stream)
    found = []
    while ready:
        *_, stream = heapq.heappop(ready)
        found.append(stream)
        for other in behind[stream]:
            before[other].discard(stream)
            if not before[other]:
                heapq.heappush(ready, (*rank(other), other))
    if len(found) < len(streams):
        raise ModelError(f"forward: {DIFFERENT}")
    return found


def _all_items(stream: Stream) -> Iterable[Item]:
    return (stream.example,) if stream.is_static else stream.items.values()
