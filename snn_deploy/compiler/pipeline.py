"""The passes in order, from a float graph to a mapped network."""

import logging
import math
from collections.abc import Callable, Collection, Mapping

from snn_deploy.chip.target import Target
from snn_deploy.compiler.lower.convert_max_pooling import convert_max_pooling
from snn_deploy.compiler.lower.convert_rates import convert_rates
from snn_deploy.compiler.lower.fold_batchnorm import fold_batchnorm
from snn_deploy.compiler.lower.fold_input import fold_input
from snn_deploy.compiler.lower.integrate_readout import integrate_readout
from snn_deploy.compiler.lower.merge_chains import merge_chains
from snn_deploy.compiler.lower.move_flatten import move_flatten
from snn_deploy.compiler.lower.one_pass import one_pass as in_one_pass
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.map.goals import Choice, checked_goal, choose, goal_on
from snn_deploy.compiler.map.place import laid_out, place
from snn_deploy.compiler.map.placement import Placement, cut_by, slots_by
from snn_deploy.compiler.map.rules import REMEDY, check_rules
from snn_deploy.errors import FitError, PassError
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.text import Stage

logger = logging.getLogger(__name__)

CUT_FINER = "cut these layers finer in the placement"
STAGES = ("read", "neurons", "spiking", "integers", "retimed", "mapped")

# takes each stage with its name, in the order of STAGES
Dump = Callable[[str, Stage], None]
Tell = Callable[[Choice], None]


def keep_quiet(name: str, stage: Stage) -> None:
    """Do nothing with a stage."""


def to_neurons(graph: Graph) -> Graph:
    """Return the graph with neurons for activations, its normalizations folded."""
    graph = fold_batchnorm(graph)
    graph = convert_max_pooling(graph)
    return convert_rates(graph)


def to_spiking(graph: Graph) -> Graph:
    """Return the float graph that the chip's integers stand for.

    It has no batch normalization, no pooling and no activations left, and its output
    layer is made of neurons. It computes what ``graph`` computes up to float rounding,
    except that activations have become spiking neurons.
    """
    graph = integrate_readout(move_flatten(to_neurons(graph)))
    return fold_input(merge_chains(graph))


def compile_model(
    graph: Graph,
    target: Target,
    *,
    one_pass: bool = False,
    is_strict: bool = False,
    allow: Collection[str] = (),
    optimize: str | None = None,
    spikes: Mapping[str, float] | None = None,
    seconds: float = math.inf,
    placement: Placement | None = None,
    dump: Dump = keep_quiet,
    tell: Tell | None = None,
) -> MappedNetwork:
    """Return the network of ``graph``, placed on the neurocores of ``target``.

    Parameters
    ----------
    graph : Graph
    target : Target
    one_pass : bool
        The twin of the spiking network that needs a single timestep, with graded
        spikes: see ``snn_deploy.compiler.lower.one_pass``.
    is_strict : bool
        Refuse every lossy step,
    allow : collection of str
        except those of these kinds (``LOSSY_STEPS``).
    optimize : str, optional
        The goal of the mapping: ``"energy"`` or ``"latency"``, the least that is
        modelled, on the chips that are needed anyway; or ``"cores"``, few neurocores,
        which layers share. By default energy, if the target has the prices for it;
        else few neurocores.
    spikes : mapping, optional
        How many spikes each population sends for an input. Those that send many lie
        near, and get more neurocores. As if all spiked alike if it is not given.
    seconds : float
        The search for near places ends by then.
    placement : Placement, optional
        Which neurons lie on which neurocore, and where, instead of a goal: see
        ``snn_deploy.compiler.map.placement``.
    dump : callable
        Is given each stage, as it comes: ``snn_deploy.ir.text.as_text`` shows it.
    tell : callable, optional
        Is given how the network was cut, and what cuts for other goals would take.

    Raises
    ------
    PassError
        If the network cannot be transformed, there is no such goal, or no time.
    DataError
        If the placement is of another network, or of another chip.
    FitError
        If it does not fit the target, listing everything that is over; or has no
        one-pass twin, listing why.
    """
    goal = goal_on(target) if optimize is None else checked_goal(optimize)
    if optimize is not None and placement is not None:
        raise PassError(
            f"optimize: the placement already says how layers are cut; leave "
            f"{optimize!r} or the placement out"
        )
    if not seconds > 0:
        raise PassError(
            f"seconds: {seconds} is not over 0; give the search some time, or leave it "
            "out for a fixed number of tries"
        )
    dump("read", graph)
    graph = to_neurons(graph)
    dump("neurons", graph)
    graph = to_spiking(graph)
    dump("spiking", graph)
    quantized = quantize(graph, target)
    if one_pass:
        quantized = in_one_pass(quantized, target)
    dump("integers", quantized)
    if is_strict:
        _refuse_changes(quantized, allow)
    quantized = retime(quantized, target)
    dump("retimed", quantized)
    slots = None
    if placement is None:
        choice = choose(quantized, target, goal, spikes, compares=tell is not None)
        if tell is not None:
            tell(choice)
        cut = choice.cut
    else:
        cut = cut_by(placement, quantized, target)
        slots = slots_by(placement, target, len(cut.together))
    if slots is None:
        network = place(cut, target, spikes=spikes, seconds=seconds)
    else:
        network = laid_out(cut, target, slots)
    dump("mapped", network)
    check_rules(network, remedy=REMEDY if placement is None else CUT_FINER)
    return network


def _refuse_changes(graph: QuantizedGraph, allow: Collection[str]) -> None:
    refused = [change for change in graph.changes if change.kind not in allow]
    if refused:
        lines = "\n  ".join(
            f"{c.layer}: {c.kind}, {c.count} values, by {c.largest:.3g} at most"
            for c in refused
        )
        raise FitError(
            f"{graph.name}: --strict allows no lossy step{_but(allow)}, but there are "
            f"{len(refused)}; train on the chip's grid, or permit kinds with --allow\n"
            f"  {lines}"
        )


def _but(allow: Collection[str]) -> str:
    return f" but {', '.join(sorted(allow))}" if allow else ""
