"""The same integers on other targets: what each would take, or why it cannot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snn_deploy.artifact import Artifact, pack
from snn_deploy.chip.target import Target
from snn_deploy.compiler.retarget import retarget
from snn_deploy.errors import FitError
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.schedules import schedules, winners

Measure = Callable[[Artifact], Profile]
BY_HAND = "a placement"  # no goal


@dataclass(frozen=True, kw_only=True)
class OnTarget:
    """What a network takes on one target."""

    target: str
    refusal: str  # why the integers do not run there; empty: they do
    found: dict[str, Any]  # neurocores, tiles, means of each schedule; empty if refused


@dataclass(frozen=True, kw_only=True, eq=False)
class LaidOut:
    """A compiled network on another target, or why it cannot be."""

    target: str
    artifact: Artifact | None  # not calibrated
    refusal: str = ""


def lay_out(artifact: Artifact, targets: Sequence[Target]) -> tuple[LaidOut, ...]:
    """Return the integers of ``artifact`` on those of the targets that are not its own.

    They are mapped for the goal that ``artifact`` is mapped for, where the target has
    the prices that it needs.

    Raises
    ------
    FitError
        If none of them can run them.
    """
    network = artifact.network
    found = [_laid_out(network, t) for t in targets if t != network.target]
    if found and all(other.artifact is None for other in found):
        raise FitError("\n  ".join(other.refusal for other in found))
    return tuple(found)


def _laid_out(network: MappedNetwork, target: Target) -> LaidOut:
    try:
        moved = pack(retarget(network.graph, target, goal=network.goal or None))
    except FitError as error:
        return LaidOut(target=target.name, artifact=None, refusal=str(error))
    return LaidOut(target=target.name, artifact=moved)


def on_targets(
    profile: Profile, others: Sequence[LaidOut], measure: Measure
) -> tuple[OnTarget, ...]:
    """Return what a network takes on its own target and on others.

    Answers and timesteps are the same everywhere, since the integers are; packets,
    hops, energy and time are those of each target's neurocores and prices.

    Parameters
    ----------
    profile : Profile
    others : sequence of LaidOut
        The network of ``profile``.
    measure : callable
        Profiles an artifact on the same inputs, with the same cutoff.
    """
    found = [_measured(profile)]
    for other in others:
        if other.artifact is None:
            refused = OnTarget(target=other.target, refusal=other.refusal, found={})
            found.append(refused)
            continue
        there = measure(other.artifact)
        _check_same(profile, there)
        found.append(_measured(there))
    return tuple(found)


def _check_same(here: Profile, there: Profile) -> None:
    for one, two in ((here.rows, there.rows), (here.fixed_rows, there.fixed_rows)):
        _, *both = np.intersect1d(
            one.column("index"), two.column("index"), return_indices=True
        )
        for name in ("prediction", "timesteps", "gap"):
            same = one.column(name)[both[0]] == two.column(name)[both[1]]
            assert same.all(), name


def _measured(profile: Profile) -> OnTarget:
    network = profile.artifact.network
    runs = schedules(profile)
    found = {
        "mapped_for": network.goal or BY_HAND,
        "neurocores": len(network.cores),
        "tiles": network.n_tiles,
        "chips": network.n_chips,
        "schedules": runs,
        "best_schedule": winners(runs),
        "energy_note": network.target.energy_note,
        "unknown": list(profile.unknown),
    }
    return OnTarget(target=network.target.name, refusal="", found=found)
