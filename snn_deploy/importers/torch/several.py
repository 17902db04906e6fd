"""Modules with several outputs, as modules whose outputs lie side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

import torch
from torch import nn

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.registry import copied
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.heads import HeadKind, heads_of

# names in the order that forward returns them; or what each gives, by its name
HeadsTold = Sequence[str] | Mapping[str, str]


class OneOutput:
    """A module that returns its outputs side by side, as heads.

    Parameters
    ----------
    model : nn.Module
        Left as it is.
    told : sequence or mapping
        The names of the heads.
    """

    def __init__(self, model: nn.Module, told: HeadsTold) -> None:
        self.told = told
        self.names = [told] if isinstance(told, str) else [*told]
        self.sizes: dict[str, int] = {}
        if not self.names or len({*self.names}) < len(self.names):
            raise ModelError(f"heads are {self.names}; give each its own name")
        kind: Any = type(model)

        @wraps(kind.forward)
        def forward(module: nn.Module, *given: Any, **options: Any) -> Any:
            outputs, states = self._parted(kind.forward(module, *given, **options))
            whole = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            return (whole, *states) if states else whole

        self.module = copied(model)
        namespace = {"forward": forward, "__module__": kind.__module__}
        self.module.__class__ = type(kind.__name__, (kind,), namespace)

    def _parted(self, returned: Any) -> tuple[list[torch.Tensor], Sequence[Any]]:
        """Return the outputs that a forward gives, and the states behind them."""
        states: Sequence[Any] = ()
        several = isinstance(returned, tuple | list)
        if several and not isinstance(returned[0], torch.Tensor):
            returned, *states = returned
        if isinstance(returned, torch.Tensor):
            returned = [returned]
        outputs: list[Any]
        if isinstance(returned, dict):
            missing = sorted({*map(str, returned)} ^ {*self.names})
            outputs = [returned.get(name) for name in self.names]
        else:
            outputs, more = [*returned][: len(self.names)], [*returned]
            states = [*more[len(self.names) :], *states]
            missing = self.names[len(outputs) :]
        if missing or not all(isinstance(o, torch.Tensor) for o in outputs):
            raise ModelError(
                f"heads are {', '.join(self.names)}, but forward does not return one "
                f"tensor for each ({', '.join(missing)}); name what it returns, in "
                "order"
            )
        self.sizes = {n: o.shape[-1] for n, o in zip(self.names, outputs, strict=True)}
        return outputs, states

    def named(self, graph: Graph) -> Graph:
        """Return the graph of ``module``, with its heads."""
        heads, known = [], graph.heads
        if len(known) < len(self.sizes):  # all alike
            known *= len(self.sizes)
        if [h.n_outputs for h in known] != [*self.sizes.values()] and len({*known}) > 1:
            raise ModelError(
                f"heads {', '.join(self.sizes)}: forward joins what is in several "
                "units itself; return a tensor for each"
            )
        for (name, size), head in zip(self.sizes.items(), known, strict=True):
            (mine,) = heads_of((), size)
            kind = mine.kind
            if isinstance(self.told, Mapping):
                kind = _kind(name, self.told[name])
            heads.append(replace(head, name=name, n_outputs=size, kind=kind))
        return replace(graph, training=replace(graph.training, heads=tuple(heads)))


def _kind(name: str, kind: str) -> HeadKind:
    allowed = [member.value for member in HeadKind]
    if kind not in allowed:
        raise ModelError(
            f"{name}: a head gives {kind!r}; choose from {', '.join(allowed)}"
        )
    return HeadKind(kind)
