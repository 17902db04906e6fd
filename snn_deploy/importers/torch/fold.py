"""Find the one timestep that a row of timesteps repeats.

The items that stand for the same in every timestep are a *stream*. Streams are found
from the outputs of all timesteps backwards, operand by operand: what feeds timestep
after timestep is a stream again, the same value at every timestep, or a stream one
timestep late: a state. What the first timestep is given in place of a state is its
initial value. Anything else is refused: then the timesteps differ.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.axes import Part
from snn_deploy.importers.torch.delays import (
    OneTimestep,
    built,
    check_counts,
    move,
    start,
    wait,
)
from snn_deploy.importers.torch.streams import (
    COMMUTATIVE,
    DIFFERENT,
    NEUTRAL,
    REWRITE,
    Operand,
    Stream,
    are_alike,
    are_same,
    operands_of,
    place_of,
)
from snn_deploy.importers.torch.timestep import Item

Column = dict[int, Part]  # what stands at one place, by timestep


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
    folding = _StreamFinder(items)
    for seed in seeds:
        folding.seed(seed)
    n = max([len(outputs), *(len(s) for s in seeds)])
    column = dict(zip(range(n - len(outputs), n), outputs, strict=True))
    last = folding.operand(column)
    folding.work()
    if not isinstance(last, Operand):
        raise ModelError(f"forward returns the same for all inputs; {REWRITE}")
    for stream in folding.alive(last.stream):
        folding.complete(stream)
    folding.work()
    streams = folding.alive(last.stream)
    move(streams, last)
    start(streams)
    wait(streams)
    check_counts(streams, last, n)
    return built(streams, last, folding.order, n)


class _StreamFinder:
    def __init__(self, items: Sequence[Item]) -> None:
        self.order = {item: i for i, item in enumerate(items)}
        self.places: dict[Item, tuple[Stream, int | None]] = {}
        self.pending: deque[Stream] = deque()
        rows: dict[int, dict[int | None, Item]] = {}
        for item in items:
            if item.operation == "input":
                row = rows.setdefault(item.options["number"], {})
                row[item.options["timestep"]] = item
        for row in rows.values():
            timed = {index: item for index, item in row.items() if index is not None}
            if timed:
                self._place(Stream(next(iter(timed.values()))), timed)
        self._swapped: set[Item] = set()  # whose two operands are in another order

    def seed(self, row: Sequence[Item]) -> None:
        """Note that items are the same layer, at one timestep after the other."""
        if row[0] not in self.places:
            self._place(Stream(row[0]), dict(enumerate(row)))

    def _place(self, stream: Stream, items: Mapping[int, Item]) -> None:
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
                operand = self.operand(column)
                stream.operands.append(operand)
                for i in stream.items.keys() - column.keys():  # what joined meanwhile
                    given = self._sources(stream.items[i])[k]
                    for joined in _joined(operand, i, given):
                        self._join(*joined)

    def operand(self, column: Column) -> "Operand | Part":
        """Return the stream that a column is, early or late; or a constant."""
        times = sorted(column)
        parts = [column[t] for t in times]
        if not any(isinstance(part, Item) for part in parts):
            if not all(are_same(parts[0], part) for part in parts):
                raise ModelError(
                    "forward uses a constant that differs from timestep to timestep"
                    ", which cannot be deployed: a chip's weights stay as they are; "
                    "use one for all (for TEBN, a batch normalization)"
                )
            return parts[0]
        if all(part is parts[0] for part in parts) and self._is_static(parts):
            return self._static(parts[0])
        stream, delay = self._stream_of(column)
        for time in reversed(times):
            self._join(stream, time - delay, column[time])
        return Operand(stream, delay)

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

    def _static(self, part: Any) -> "Operand | Part":
        if not isinstance(part, Item):
            return part  # type: ignore[no-any-return]
        if part not in self.places:
            stream = Stream(part, is_static=True)
            self.places[part] = stream, None
            self.pending.append(stream)
        stream, index = self.places[part]
        if index is not None:
            raise ModelError(
                f"{place_of(part)}: forward uses the value of one timestep in all of "
                f"them; {REWRITE}"
            )
        return Operand(stream, 0)

    def _stream_of(self, column: Column) -> tuple[Stream, int]:
        """Return the stream of a column, and how late it is; a new one if none is."""
        for time, part in sorted(column.items(), reverse=True):
            place = self.places.get(part) if isinstance(part, Item) else None
            if place is not None and place[1] is not None:
                return place[0], time - place[1]
        time = max(column)
        part = column[time]
        if not isinstance(part, Item) or part in self.places:
            raise ModelError(f"{place_of(part)}: {DIFFERENT}")
        if len(column) == 1 and (before := self._later(part, time)) is not None:
            return before
        stream = Stream(part)
        self.pending.append(stream)
        return stream, 0

    def _later(self, part: Item, time: int) -> tuple[Stream, int] | None:
        """Return the stream of what a later timestep computes alike, and how late.

        Where only what the last timestep gives is known, a state is found so.
        """
        late = time - self._time_of(part)
        if late < 1:
            return None
        worths = {
            stream: likeness(stream.items[time], part)
            for stream, index in self.places.values()
            if index == time and self._time_of(stream.items[time]) == time
        }
        best = max(worths, key=lambda stream: worths[stream], default=None)
        if best is None or worths[best] < 1 or not self._fits(best, part):
            return None
        return best, late

    def _time_of(self, item: Item) -> int:
        """Return the latest timestep that goes into an item; -1: none does."""
        todo, seen, latest = [item], {item}, -1
        while todo:
            now = todo.pop()
            place = self.places.get(now)
            index = now.options.get("timestep") if place is None else place[1]
            if index is not None:
                latest = max(latest, index)
                continue
            more = [s for s in now.sources if isinstance(s, Item) and s not in seen]
            seen.update(more)
            todo += more
        return latest

    def _join(self, stream: Stream, index: int, part: Part) -> None:
        """Note that an item is in a stream, and so are those that feed it."""
        todo: list[tuple[Stream, int, Any]] = [(stream, index, part)]
        while todo:
            stream, index, part = todo.pop()
            if index in stream.items or index in stream.early:
                there = stream.items.get(index, stream.early.get(index))
                if not are_same(there, part):
                    raise ModelError(f"{place_of(part)}: {DIFFERENT}")
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
            known = [*stream.items, *stream.early]
            is_known = all(not isinstance(p, Item) for p in stream.early.values())
            is_one = not stream.early or (is_known and not isinstance(part, Item))
            if not is_one or index != min(known, default=index) - 1:
                raise _difference(stream.example, part)
            stream.early[index] = part

    def _fits(self, stream: Stream, item: Item) -> bool:
        """Return whether an item in no stream yet is like those of one."""
        if item in self.places or not are_alike(stream.example, item):
            return False
        return not _is_bare(stream.example, item)

    def complete(self, stream: Stream, first: Part | None = None) -> bool:
        """Find what the first timestep has, where it has no state to add to it yet.

        It is what one of the operands is in the other timesteps.
        """
        first = first if first is not None else stream.early.get(0)
        if not isinstance(first, Item) or stream.example.operation not in NEUTRAL:
            return False
        return any(self._begins(o, first) for o in operands_of(stream))

    def _begins(self, operand: Operand, first: Item) -> bool:
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

    def alive(self, last: Stream) -> list[Stream]:
        """Return the streams that go into the last one."""
        found, todo = {last: None}, [last]
        while todo:
            for operand in todo.pop().operands or ():
                if isinstance(operand, Operand) and operand.stream not in found:
                    found[operand.stream] = None
                    todo.append(operand.stream)
        return list(found)


def _difference(example: Item, part: Part) -> ModelError:
    """Return the error for what another timestep has in the place of an item."""
    one, other = place_of(example), place_of(part)
    module = part.module if isinstance(part, Item) and part.path else None
    if module is not None and one != other and type(module) is type(example.module):
        return ModelError(
            f"{other}: forward calls another layer in another timestep, {one}, and "
            "a chip's weights stay as they are; use one for all"
        )
    also = f" ({one} in one, {other} in another)" if one != other else ""
    return ModelError(f"{other}: {DIFFERENT}".replace(",", also + ",", 1))


def _joined(
    operand: "Operand | Part", index: int, given: Any
) -> list[tuple[Stream, int, Any]]:
    """Return what is to be noted where an item joins a stream."""
    if isinstance(operand, Operand) and not operand.stream.is_static:
        return [(operand.stream, index - operand.delay, given)]
    known = operand.stream.example if isinstance(operand, Operand) else operand
    if not are_same(known, given):
        raise ModelError(f"{place_of(given)}: {DIFFERENT}")
    return []


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
    return likeness(first, b) > likeness(first, a)


def _is_bare(example: Item, item: Item) -> bool:
    """Return whether an item is what a state is added to in the other timesteps.

    As in ``mem = x if mem is None else mem * decay + x``, where x is a sum itself.
    """
    if example.operation not in NEUTRAL or _resemble(example, item):
        return False
    sources = [source for source in example.sources if isinstance(source, Item)]
    return any(_resemble(source, item) for source in sources)


def _resemble(a: Any, b: Any) -> bool:
    """Return whether two items are computed alike, three calls back."""
    return likeness(a, b) >= 0


def likeness(a: Any, b: Any, depth: int = 3) -> int:
    """Return how many calls of two items are alike, so many back; -1: not all are."""
    if not (isinstance(a, Item) and isinstance(b, Item)):
        both_known = not isinstance(a, Item) and not isinstance(b, Item)
        # a state may begin as a constant
        return 0 if not both_known or are_same(a, b) else -1
    if not are_alike(a, b):
        return -1
    if depth == 0:
        return 1
    orders = [a.sources]
    if a.operation in COMMUTATIVE:  # a number stands behind the other operand
        orders.append(a.sources[::-1])
    found = -1
    for order in orders:
        pairs = zip(order, b.sources, strict=True)
        each = [likeness(x, y, depth - 1) for x, y in pairs]
        if min(each, default=0) >= 0:
            found = max(found, 1 + sum(each))
    return found
