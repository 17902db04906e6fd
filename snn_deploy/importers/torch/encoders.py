"""Tell where a forward draws spikes from its input: that is the rate encoding."""

from dataclasses import replace

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.delays import OneTimestep
from snn_deploy.importers.torch.timestep import Before, Item, Source

# what compares a draw with a value so that the value is the probability
_BELOW, _ABOVE = ("le", "lt"), ("ge", "gt")
_NEUTRAL = {"add": (0.0,), "sub": (0.0,), "mul": (1.0,), "div": (1.0,)}


def without_encoder(timestep: OneTimestep) -> tuple[OneTimestep, Item | None]:
    """Return a timestep that takes spikes, and what it takes in place of its input.

    Where nothing is drawn, the timestep as it is, and ``None``.

    Raises
    ------
    ModelError
        If the input is used beside the spikes that are drawn from it.
    """
    drawn = [item for item in timestep.items if _is_drawn(item)]
    if not drawn:
        return timestep, None
    given, *others = (item for item in timestep.items if item.operation == "input")
    if others:
        raise ModelError(
            f"forward draws spikes from one of {len(others) + 1} inputs; leave the "
            "drawing, of all of them, to encoding='rate'"
        )
    spikes = Item(operation="input", shape=given.shape)
    entry = spikes
    if drawn[0].shape != given.shape:  # it was made a row before
        entry = Item(operation="flatten", sources=(spikes,), shape=drawn[0].shape)
    instead = dict.fromkeys(drawn, entry)

    def renewed(source: Source) -> Source:
        if isinstance(source, Before):
            return Before(instead.get(source.item, source.item), source.initial)
        return instead.get(source, source) if isinstance(source, Item) else source

    for item in timestep.items:
        item.sources = tuple(map(renewed, item.sources))
    output = instead.get(timestep.output, timestep.output)
    items = _needed(output)
    if len(drawn) > 1 or any(i.operation == "input" for i in items - {spikes}):
        raise ModelError(
            "forward uses its input beside the spikes that it draws from it, or draws "
            "several; leave the drawing to encoding='rate'"
        )
    kept = tuple(item for item in timestep.items if item in items)
    row = timestep.rows[drawn[0]]
    rows = {**timestep.rows, spikes: row, entry: row}
    items_now = tuple(dict.fromkeys((spikes, entry, *kept)))
    found = replace(timestep, items=items_now, output=output, rows=rows)
    return found, spikes


def _needed(output: Item) -> set[Item]:
    """Return what goes into an item, over all timesteps."""
    found, todo = {output}, [output]
    while todo:
        for source in todo.pop().sources:
            item = source.item if isinstance(source, Before) else source
            if isinstance(item, Item) and item not in found:
                found.add(item)
                todo.append(item)
    return found


def _is_drawn(item: Item) -> bool:
    """Return whether an item is spikes, with the input as their probability."""
    if item.operation == "bernoulli":
        return _is_probability(item.sources[0])
    if len(item.sources) != 2:
        return False
    first, second = item.sources
    if item.operation in _BELOW:
        return _is_draw(first) and _is_probability(second)
    return item.operation in _ABOVE and _is_draw(second) and _is_probability(first)


def _is_draw(source: Source) -> bool:
    return isinstance(source, Item) and source.operation == "rand_like"


def _is_probability(source: Source) -> bool:
    """Return whether an item is the input, cut off at 0 and 1 at most."""
    if not isinstance(source, Item):
        return False
    limits = source.options.get("min"), source.options.get("max")
    if source.operation == "clamp" and limits == (0, 1):
        return _is_probability(source.sources[0])
    is_same = source.sources[1:] == _NEUTRAL.get(source.operation)
    if is_same or (source.operation in ("flatten", "view") and len(source.shape) == 1):
        return _is_probability(source.sources[0])
    return source.operation == "input"
