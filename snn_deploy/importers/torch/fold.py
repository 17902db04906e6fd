"""Find the one timestep that a row of timesteps repeats.

The items that stand for the same in every timestep are a *stream*. Streams are found
from the outputs of all timesteps backwards, operand by operand: what feeds timestep
after timestep is a stream again, the same value at every timestep, or a stream one
timestep late: a state. What the first timestep is given in place of a state is its
initial value. Anything else is refused: then the timesteps differ.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.record import LAYER
from snn_deploy.importers.torch.signals import Part
from snn_deploy.importers.torch.timestep import Before, Item, Source

Column = dict[int, Part]  # what stands at one place, by timestep
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
REWRITE = (
    "write forward as one timestep, which takes what one timestep gives to the next "
    "and returns it, or keeps it on self"
)
COMMUTATIVE = ("add", "mul", "maximum", "minimum")
NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0}


@dataclass(eq=False)
class _Stream:
    """The items that are the same in every timestep."""

    example: Item
    items: dict[int, Item] = field(default_factory=dict)
    # what stands for the one before the first: an initial value, or something else
    early: dict[int, Part] = field(default_factory=dict)
    operands: "list[_Operand | Part] | None" = None  # not looked at yet
    is_static: bool = False  # one item, for all timesteps


@dataclass(eq=False)
class _Operand:
    """A stream, so many timesteps late."""

    stream: _Stream
    delay: int


@dataclass(frozen=True, kw_only=True, eq=False)
class OneTimestep:
    """The items of one timestep, in order, and what they are in each of them."""

    items: tuple[Item, ...]
    output: Item
    rows: Mapping[Item, Mapping[int, Item]]


def fold(
    outputs: Sequence[Part], items: Sequence[Item], seeds: Sequence[Sequence[Item]] = ()
) -> OneTimestep:
    """Return the one timestep that all of them are.

    Parameters
    ----------
    outputs : sequence
        What the timesteps give; or what the last one gives, where there are ``seeds``.
    items : sequence of Item
        In the order in which they were computed.
    seeds : sequence
        Rows of items that are known to be the same layer at every timestep.

    Raises
    ------
    ModelError
        If the timesteps do not do the same.
    """
    folding = _Folding(items)
    for seed in seeds:
        folding.seed(seed)
    n = max([len(outputs), *(len(s) for s in seeds)])
    column = dict(zip(range(n - len(outputs), n), outputs, strict=True))
    last = folding.operand(column)
    folding.work()
    if not isinstance(last, _Operand):
        raise ModelError(f"forward returns the same for all inputs; {REWRITE}")
    for stream in folding.alive(last.stream):
        folding.complete(stream)
    folding.work()
    streams = folding.alive(last.stream)
    _move(streams, last)
    _start(streams)
    if last.delay:
        raise ModelError(
            "forward returns what the timestep before has computed; return what this "
            "timestep gives"
        )
    _check_counts(streams, n)
    return _built(streams, last.stream, folding.order, n)


class _Folding:
    def __init__(self, items: Sequence[Item]) -> None:
        self.order = {item: i for i, item in enumerate(items)}
        self.places: dict[Item, tuple[_Stream, int | None]] = {}
        self.pending: deque[_Stream] = deque()
        inputs = [item for item in items if item.operation == "input"]
        row = {item.options["timestep"]: item for item in inputs}
        if None not in row and row:
            self._place(_Stream(inputs[0]), row)
        self._swapped: set[Item] = set()  # whose two operands are in another order

    def seed(self, row: Sequence[Item]) -> None:
        """Note that items are the same layer, at one timestep after the other."""
        if row[0] not in self.places:
            self._place(_Stream(row[0]), dict(enumerate(row)))

    def _place(self, stream: _Stream, items: Mapping[int, Item]) -> None:
        for index, item in items.items():
            stream.items[index] = item
            self.places[item] = stream, index
        self.pending.append(stream)

    def work(self) -> None:
        """Follow all streams back to the input."""
        while self.pending:
            stream = self.pending.popleft()
            if stream.operands is not None:
                continue
            stream.operands = []
            for k in range(len(stream.example.sources)):
                if stream.is_static:
                    stream.operands.append(self._static(stream.example.sources[k]))
                    continue
                column: Column = {
                    i: self._sources(item)[k]
                    for i, item in sorted(stream.items.items())
                }
                stream.operands.append(self.operand(column))

    def operand(self, column: Column) -> "_Operand | Part":
        """Return the stream that a column is, early or late; or a constant."""
        times = sorted(column)
        parts = [column[t] for t in times]
        if not any(isinstance(part, Item) for part in parts):
            if not all(_same(parts[0], part) for part in parts):
                raise ModelError(
                    "forward uses a constant that differs from timestep to timestep, "
                    "which cannot be deployed; use one for all"
                )
            return parts[0]
        if all(part is parts[0] for part in parts) and self._is_static(parts):
            return self._static(parts[0])
        stream, delay = self._stream_of(column)
        for time in reversed(times):
            self._join(stream, time - delay, column[time])
        return _Operand(stream, delay)

    def _is_static(self, parts: Sequence[Part]) -> bool:
        """Return whether one item stands for all timesteps."""
        item = parts[0]
        assert isinstance(item, Item)
        if item in self.places:
            return self.places[item][1] is None
        return len(parts) > 1 or self._is_fixed(item)

    def _is_fixed(self, item: Item) -> bool:
        """Return whether nothing of a single timestep goes into an item."""
        todo, seen = [item], {item}
        while todo:
            now = todo.pop()
            is_seeded = now in self.places and self.places[now][1] is not None
            if is_seeded or now.options.get("timestep") is not None:
                return False
            more = [s for s in now.sources if isinstance(s, Item) and s not in seen]
            seen.update(more)
            todo += more
        return True

    def _static(self, part: Any) -> "_Operand | Part":
        if not isinstance(part, Item):
            return part  # type: ignore[no-any-return]
        if part not in self.places:
            stream = _Stream(part, is_static=True)
            self.places[part] = stream, None
            self.pending.append(stream)
        stream, index = self.places[part]
        if index is not None:
            raise ModelError(
                f"{_where(part)}: forward uses the value of one timestep in all of "
                f"them; {REWRITE}"
            )
        return _Operand(stream, 0)

    def _stream_of(self, column: Column) -> tuple[_Stream, int]:
        """Return the stream of a column, and how late it is; a new one if none is."""
        for time, part in sorted(column.items(), reverse=True):
            place = self.places.get(part) if isinstance(part, Item) else None
            if place is not None and place[1] is not None:
                return place[0], time - place[1]
        part = column[max(column)]
        if not isinstance(part, Item) or part in self.places:
            raise ModelError(f"{_where(part)}: {_DIFFERENT}")
        stream = _Stream(part)
        self.pending.append(stream)
        return stream, 0

    def _join(self, stream: _Stream, index: int, part: Part) -> None:
        """Note that an item is in a stream, and so are those that feed it."""
        todo: list[tuple[_Stream, int, Any]] = [(stream, index, part)]
        while todo:
            stream, index, part = todo.pop()
            if index in stream.items or index in stream.early:
                there = stream.items.get(index, stream.early.get(index))
                if not _same(there, part):
                    raise ModelError(f"{_where(part)}: {_DIFFERENT}")
                continue
            if isinstance(part, Item) and self._fits(stream, part):
                stream.items[index] = part
                self.places[part] = stream, index
                if _is_swapped(stream.example, part):
                    self._swapped.add(part)
                pairs = zip(stream.operands or (), self._sources(part), strict=False)
                for operand, given in pairs:
                    todo += _joined(operand, index, given)
                continue
            if stream.early or index != min(stream.items, default=index) - 1:
                raise ModelError(f"{_where(part)}: {_DIFFERENT}")
            stream.early[index] = part

    def _fits(self, stream: _Stream, item: Item) -> bool:
        """Return whether an item in no stream yet is like those of one."""
        return item not in self.places and _alike(stream.example, item)

    def complete(self, stream: _Stream, first: Part | None = None) -> bool:
        """Find what the first timestep has, where it has no state to add to it yet.

        It is what one of the operands is in the other timesteps.
        """
        first = first if first is not None else stream.early.get(0)
        if not isinstance(first, Item) or stream.example.operation not in NEUTRAL:
            return False
        return any(self._begins(o, first) for o in _operands(stream))

    def _begins(self, operand: _Operand, first: Item) -> bool:
        """Return whether an operand could be ``first`` in the first timestep."""
        stream = operand.stream
        if operand.delay or stream.is_static:
            return stream.example is first
        if 0 in stream.items or stream.early:
            return stream.items.get(0) is first
        if self._fits(stream, first):
            self._join(stream, 0, first)
            return True
        if not self.complete(stream, first):
            return False
        stream.early[0] = first
        return True

    def _sources(self, item: Item) -> tuple[Any, ...]:
        return item.sources[::-1] if item in self._swapped else item.sources

    def alive(self, last: _Stream) -> list[_Stream]:
        """Return the streams that go into the last one."""
        found, todo = {last: None}, [last]
        while todo:
            for operand in todo.pop().operands or ():
                if isinstance(operand, _Operand) and operand.stream not in found:
                    found[operand.stream] = None
                    todo.append(operand.stream)
        return list(found)


def _joined(
    operand: "_Operand | Part", index: int, given: Any
) -> list[tuple[_Stream, int, Any]]:
    """Return what is to be noted where an item joins a stream."""
    if isinstance(operand, _Operand) and not operand.stream.is_static:
        return [(operand.stream, index - operand.delay, given)]
    known = operand.stream.example if isinstance(operand, _Operand) else operand
    if not _same(known, given):
        raise ModelError(f"{_where(given)}: {_DIFFERENT}")
    return []


_DIFFERENT = f"the timesteps of forward differ, so that none can be cut out; {REWRITE}"


def _where(part: Any) -> str:
    if not isinstance(part, Item):
        return "forward"
    return part.path or f"forward calls {part.operation}"


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and torch.equal(a, b)
    return type(a) is type(b) and bool(a == b)


def _alike(a: Item, b: Item) -> bool:
    """Return whether two items are made by the same call of different values."""
    if (a.operation, a.module, len(a.sources)) != (
        b.operation,
        b.module,
        len(b.sources),
    ):
        return False
    if a.operation == LAYER and a.path != b.path:
        return False
    return a.options.keys() == b.options.keys() and all(
        key == "timestep" or _same(value, b.options[key])
        for key, value in a.options.items()
    )


def _is_swapped(example: Item, item: Item) -> bool:
    """Return whether a number stands in the place of the other operand.

    As in ``0.0 + x``, of which PyTorch makes ``x + 0.0``, for ``mem * decay + x``.
    """
    if example.operation not in COMMUTATIVE or len(item.sources) != 2:
        return False
    (first, second), (a, b) = item.sources, example.sources
    if isinstance(second, Item) or not isinstance(first, Item):
        return False
    if not (isinstance(a, Item) and isinstance(b, Item)):
        return False
    return _alike(first, b) and not _alike(first, a)


# delays as late as can be


def _move(streams: Sequence[_Stream], last: _Operand) -> None:
    """Let everything act as early as it can, so that states are what is late."""
    into: dict[_Stream, list[_Operand]] = {stream: [] for stream in streams}
    into[last.stream].append(last)
    for stream in streams:
        for operand in _operands(stream):
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
        for operand in _operands(stream):
            operand.delay -= delay
        for operand in into[stream]:
            operand.delay += delay
        todo += [s for s in streams if any(o.stream is stream for o in _operands(s))]


def _start(streams: Sequence[_Stream]) -> None:
    """Let what is added to nothing in the first timestep be nothing there."""
    for stream in streams:
        if not isinstance(stream.early.get(0), Item):
            continue
        for operand in _operands(stream):
            other = operand.stream
            if not (operand.delay or other.is_static or 0 in other.items):
                nothing = NEUTRAL.get(stream.example.operation, 0.0)
                other.early.setdefault(0, nothing)


def _operands(stream: _Stream) -> list[_Operand]:
    return [o for o in stream.operands or () if isinstance(o, _Operand)]


def _spare(stream: _Stream) -> int:
    """Return how many timesteps earlier a stream could be computed."""
    if stream.is_static or stream.example.operation in ANCHORED:
        return 0
    return min((operand.delay for operand in _operands(stream)), default=0)


def _check_counts(streams: Sequence[_Stream], n: int) -> None:
    for stream in streams:
        item = stream.example
        is_layer = item.operation in ANCHORED and item.operation != "part"
        n_calls = len(stream.items) + _is_started(stream)
        if is_layer and not stream.is_static and n_calls != n:
            raise ModelError(
                f"{_where(item)}: forward calls this layer {n_calls} times "
                f"in {n} timesteps; call it once in each"
            )


def _built(
    streams: Sequence[_Stream], last: _Stream, order: Mapping[Item, int], n: int
) -> OneTimestep:
    items: dict[_Stream, Item] = {}
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
        item.sources = tuple(_source(o, stream, items) for o in stream.operands or ())
    return OneTimestep(
        items=tuple(items[s] for s in _sorted(streams, order)),
        output=items[last],
        rows={
            item: dict.fromkeys(range(n), s.example) if s.is_static else s.items
            for s, item in items.items()
        },
    )


def _source(
    operand: "_Operand | Part", stream: _Stream, items: Mapping[_Stream, Item]
) -> Source:
    if not isinstance(operand, _Operand):
        return operand
    item, source = items[operand.stream], operand.stream
    if operand.delay == 0:
        if 0 in source.early and not _is_started(source):
            raise ModelError(f"{_where(item)}: {_DIFFERENT}")
        return item
    if operand.delay > 1:
        raise ModelError(
            f"{_where(item)}: forward uses what was computed {operand.delay} timesteps "
            "before, which cannot be deployed; use that of the timestep before"
        )
    if -1 in source.early:
        initial = source.early[-1]
    elif _is_started(stream):
        initial = NEUTRAL.get(stream.example.operation, 0.0)
    else:
        raise ModelError(f"{_where(item)}: {_DIFFERENT}")
    if isinstance(initial, Item):
        raise ModelError(f"{_where(item)}: {_DIFFERENT}")
    return Before(item, initial)


def _is_started(stream: _Stream) -> bool:
    """Return whether what stands for a first timestep is what a state of 0 gives.

    So it is where the first timestep has no state yet,
    ``mem = x if mem is None else mem * decay + x``, and where it gives a layer none.
    """
    if 0 not in stream.early:
        return False
    first, operands = stream.early[0], _operands(stream)
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


def _at_first(operand: _Operand) -> Part | None:
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


def _sorted(streams: Sequence[_Stream], order: Mapping[Item, int]) -> list[_Stream]:
    """Return streams in an order in which each follows what feeds it."""
    before = {
        stream: {o.stream for o in _operands(stream) if o.delay == 0}
        for stream in streams
    }
    number = {stream: i for i, stream in enumerate(streams)}

    def rank(stream: _Stream) -> tuple[int, int]:
        return min(order[i] for i in _all_items(stream)), number[stream]

    ready = [(*rank(s), s) for s in streams if not before[s]]
    heapq.heapify(ready)
    behind: dict[_Stream, list[_Stream]] = {stream: [] for stream in streams}
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
        raise ModelError(f"forward: {_DIFFERENT}")
    return found


def _all_items(stream: _Stream) -> Iterable[Item]:
    return (stream.example,) if stream.is_static else stream.items.values()
