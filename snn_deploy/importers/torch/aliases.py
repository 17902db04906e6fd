"""Which values of a forward are one tensor, so that in place all of them change."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.collected import INPUT_NAME, Layers

Value = TypeVar("Value", bound=Hashable)
OUT_OF_PLACE = "write the change out of place, as in out = out + x"
CHANGED = "value that a later call has changed in place, under another shape"


class Aliases(Generic[Value]):
    """The layer that each value of a forward comes from.

    As in PyTorch: behind ``skip = out; out += x``, ``skip`` is the sum as well.
    """

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.ends: dict[Value, str] = {}  # layer, or what a value stands for
        self.made_by: dict[Value, Value] = {}  # the value that the tensor was made as

    def note(
        self, value: Value, end: str, first: Value | None, *, is_written: bool
    ) -> None:
        """Note that a call of ``first`` gives ``value``, of the layer ``end``.

        Raises
        ------
        ModelError
            If it is written in place where the next timestep finds it.
        """
        self.ends[value], self.made_by[value] = end, value
        if first is None or first not in self.ends or end not in self.layers.nodes:
            return
        before, maker = self.ends[first], self.made_by[first]
        is_changed = is_written and end != before
        if is_changed:
            self._check_writable(value, maker)
        if is_changed or end == before or self.layers.is_view(end, of=before):
            self.made_by[value] = maker
        same = [v for v, m in self.made_by.items() if m == maker and v != value]
        for other in same if is_changed else ():
            self.ends[other] = end if self.ends[other] == before else CHANGED

    def _check_writable(self, value: Value, maker: Value) -> None:
        end = self.ends[maker]
        if end == INPUT_NAME or self.layers.is_kept(end):
            what = "input" if end == INPUT_NAME else f"state of {end}"
            raise ModelError(
                f"{value}: forward changes its {what} in place, so that the next "
                f"timestep finds it changed; {OUT_OF_PLACE}"
            )
