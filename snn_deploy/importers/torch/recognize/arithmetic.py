"""The arithmetic in one timestep of a forward: what is computed from what."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from snn_deploy.importers.torch.timestep import LATE, Before, Item
from snn_deploy.names import free_name

COMPARISONS = ("gt", "ge", "lt", "le", "eq", "ne", "heaviside", "sign")
LINEAR = ("add", "sub", "mul", "div", "neg", "to", "detach")
CUTTING = ("relu", "clamp", "clamp_min", "clamp_max", "hardtanh", "maximum", "minimum")
# what takes values apart, or together, that are not of one neuron
CUTS = {
    "input",
    LATE,
    "layer",
    "part",
    "linear",
    "matmul",
    "einsum",
    "batch_norm",
    "softmax",
    "log_softmax",
    *(f"{name}{n}d" for name in ("conv", "avg_pool", "max_pool") for n in (1, 2)),
    *(f"conv_transpose{n}d" for n in (1, 2)),
}
KindOf = Callable[[str], str]
T = TypeVar("T")


class Arithmetic:
    """The items of one timestep, of which some are ``used`` as outputs.

    ``kind_of`` gives what the user calls the module at a path.
    """

    def __init__(
        self, items: Sequence[Item], used: Collection[Item], kind_of: KindOf
    ) -> None:
        self.items, self.used, self.kind_of = items, set(used), kind_of
        self.names: set[str] = set()
        self.takers: dict[Item, list[Item]] = {item: [] for item in items}
        for item in items:
            for source in sources_of(item):
                self.takers[source].append(item)

    def behind(self, members: Collection[Item], but: Collection[Item]) -> list[Item]:
        """Return members, and what is computed from them alone, in order."""
        known = set(members)
        for item in self.items:
            sources = list(sources_of(item))
            is_alone = bool(sources) and known.issuperset(sources)
            if is_alone and item not in but and is_arithmetic(item):
                known.add(item)
        return [item for item in self.items if item in known]

    def leaves(self, item: Item, items: Collection[Item]) -> bool:
        """Return whether others than ``items`` take what an item gives."""
        is_taken = any(taker not in items for taker in self.takers[item])
        return item in self.used or is_taken

    def inputs(self, members: Collection[Item]) -> tuple[Item, ...]:
        """Return what members are computed from, in order."""
        sources = (s for i in self.items if i in members for s in sources_of(i))
        return unique(source for source in sources if source not in members)

    def free(self, path: str, otherwise: str) -> str:
        """Return a name for what is computed in a module, or in forward itself."""
        name = free_name(path or otherwise, self.names)
        self.names.add(name)
        return name


def sources_of(item: Item) -> Iterator[Item]:
    """Yield what an item is computed from, now or a timestep later."""
    for source in item.sources:
        if isinstance(source, Before):
            yield source.item
        elif isinstance(source, Item):
            yield source


def is_arithmetic(item: Item) -> bool:
    """Return whether an item is computed for each neuron by itself."""
    if item.operation in CUTS or item.module is not None:
        return False
    return all(source.shape == item.shape for source in sources_of(item))


def unique(items: Iterable[T]) -> tuple[T, ...]:
    """Return items without repetitions."""
    return tuple(dict.fromkeys(items))


def common_path(items: Iterable[Item]) -> str:
    """Return the path of the module in which all items are computed."""
    parts = [item.path.split(".") for item in items]
    shared = itertools.takewhile(lambda p: len({*p}) == 1, zip(*parts, strict=False))
    return ".".join(part[0] for part in shared)
