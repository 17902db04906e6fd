"""Several inputs, or read-outs, as one; what each of them is, by its name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.ir.codec import CodecError, decode
from snn_deploy.ir.graph import Edge
from snn_deploy.ir.heads import Head, heads_of
from snn_deploy.ir.inputs import NamedInput, listed, with_places
from snn_deploy.ir.neurons import Integrator
from snn_deploy.ir.nodes import Add, Flatten, Input, Node
from snn_deploy.ir.scatter import Channels, Section
from snn_deploy.names import free_name


def named_heads(sizes: Mapping[str, int]) -> tuple[Head, ...]:
    """Return heads by name, with so many outputs each."""
    return tuple(
        replace(heads_of((), size)[0], name=name) for name, size in sizes.items()
    )


def noted_heads(path: Path, noted: Any) -> tuple[Head, ...]:
    """Return what the outputs stand for, which a file notes as JSON, or ``None``."""
    found: tuple[Head, ...] = _noted(tuple[Head, ...], path, noted, "heads")
    return found


def noted_inputs(path: Path, noted: Any) -> tuple[NamedInput, ...]:
    """Return what several inputs are, which a file notes as JSON, or ``None``."""
    kind = tuple[NamedInput, ...]
    found: tuple[NamedInput, ...] = _noted(kind, path, noted, "inputs")
    return found


def _noted(kind: Any, path: Path, noted: Any, what: str) -> Any:
    if noted is None:
        return ()
    try:
        return decode(kind, json.loads(noted), {})
    except (CodecError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: notes {what} that cannot be read ({error}); write the file again"
        ) from None


def with_one_input(
    nodes: Sequence[Node], edges: Sequence[Edge], noted: tuple[NamedInput, ...] = ()
) -> tuple[list[Node], list[Edge], tuple[NamedInput, ...]]:
    """Return layers with one input, a row of the several that there are; and these.

    Each of them becomes a section of the row, with its name. They are in the order,
    and have the ranges, that a file has noted, if it has.

    Raises
    ------
    ModelError
        If it has noted others.
    """
    starts = [node for node in nodes if isinstance(node, Input)]
    inputs = tuple(NamedInput(name=n.name, shape=n.shape) for n in starts)
    if noted:
        found, told = ({(i.name, i.shape) for i in each} for each in (inputs, noted))
        if found != told:
            raise ModelError(
                f"notes the inputs {listed(noted)}, but has {listed(inputs)}; write "
                "the file again"
            )
        order = [given.name for given in noted]
        starts.sort(key=lambda node: order.index(node.name))
        inputs = noted
    size = sum(given.size for given in inputs)
    late = [np.broadcast_to(n.axon_delay, n.shape).ravel() for n in starts]
    row = Input(
        name=free_name("inputs", {node.name for node in nodes}),
        shape=(size,),
        axon_delay=np.concatenate(late),
    )
    sections: dict[str, Node] = {
        given.name: Section(
            name=given.name, shape=(size,), first=places.start, onto=given.shape
        )
        for given, places in with_places(inputs)
    }
    leading = [Edge(source=row.name, target=name) for name in sections]
    kept = [sections.get(node.name, node) for node in nodes]
    return [row, *kept], [*leading, *edges], inputs


def joined(
    nodes: Sequence[Node], edges: Sequence[Edge], ends: Sequence[str]
) -> tuple[list[Node], list[Edge], str]:
    """Return layers whose read-outs ``ends`` are one layer, and its name.

    Read-outs of one kind of integrator become one population; what others give is led
    together, spikes as they are, so that it is added up behind.

    Raises
    ------
    ModelError
        If some are integrators and some are not, or others feed on them.
    """
    twice = sorted({end for end in ends if [*ends].count(end) > 1})
    if twice:
        raise ModelError(
            f"{twice[0]}: is read out as two outputs; leave one of them out"
        )
    known = {node.name: node for node in nodes}
    lasts = [known[end] for end in ends]
    names = {*known}
    made, ways = [*nodes], [*edges]
    name = free_name("outputs", names)
    width = sum(n_neurons(last.output_shape) for last in lasts)
    is_kept = [isinstance(last, Integrator) for last in lasts]
    if any(is_kept) and not all(is_kept):
        odd = ", ".join(e for e, kept in zip(ends, is_kept, strict=True) if kept)
        raise ModelError(
            f"{odd}: is read out by its voltage, other outputs are not; end all of "
            "them with the same kind of layer"
        )
    first = 0
    for last in lasts:
        size = n_neurons(last.output_shape)
        part = Channels(
            name=free_name(f"{name}_{last.name}", {n.name for n in made}),
            shape=(size,),
            first=first,
            n_channels=width,
        )
        first += size
        made.append(part)
        senders = [(last.name, 0)]
        if isinstance(last, Integrator):
            if any(edge.source == last.name for edge in ways):
                raise ModelError(f"{last.name}: is read out, and feeds another layer")
            senders = [(e.source, e.delay) for e in ways if e.target == last.name]
            ways = [edge for edge in ways if edge.target != last.name]
            made.remove(last)
        for sender, delay in senders:
            ways += _flat(made, known[sender], part.name, delay)
        ways.append(Edge(source=part.name, target=name))
    if not any(is_kept):
        return [*made, Add(name=name, shape=(width,))], ways, name
    total = Add(name=free_name(f"{name}_in", {n.name for n in made}), shape=(width,))
    ways = [replace(e, target=total.name) if e.target == name else e for e in ways]
    ways.append(Edge(source=total.name, target=name))
    return [*made, total, _together(lasts, name, width)], ways, name


def _flat(made: list[Node], sender: Node, part: str, delay: int) -> list[Edge]:
    """Return the edges from a layer to a part, in a row."""
    if len(sender.output_shape) == 1:
        return [Edge(source=sender.name, target=part, delay=delay)]
    taken = {node.name for node in made}
    flat = Flatten(name=free_name(f"{part}_flat", taken), shape=sender.output_shape)
    made.append(flat)
    return [
        Edge(source=sender.name, target=flat.name, delay=delay),
        Edge(source=flat.name, target=part),
    ]


def _together(lasts: Sequence[Node], name: str, width: int) -> Integrator:
    """Return integrators side by side, each with its parameters."""
    given: dict[str, Any] = {}
    for item in fields(Integrator):
        values = [getattr(last, item.name) for last in lasts]
        if isinstance(values[0], np.ndarray):
            rows = [
                np.broadcast_to(value, last.output_shape).ravel()
                for value, last in zip(values, lasts, strict=True)
            ]
            given[item.name] = np.concatenate(rows)
        elif any(value != values[0] for value in values[1:]) and item.name not in (
            "name",
            "shape",
        ):
            raise ModelError(
                f"{lasts[0].name}, {lasts[1].name}: read-outs of another {item.name}; "
                "give both the same"
            )
    first = lasts[0]
    assert isinstance(first, Integrator)
    return replace(first, name=name, shape=(width,), **given)
