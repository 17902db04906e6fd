"""``snn-deploy calibrate --optimize``: choose the way to serve that costs least."""

from dataclasses import replace
from typing import TYPE_CHECKING

from snn_deploy.cli.console import out, show_table

if TYPE_CHECKING:
    from snn_deploy.cutoff.evidence import Evidence
    from snn_deploy.cutoff.rules.rule import Settings
    from snn_deploy.profile.optimize import Costs, Option


def choose(
    evidence: "Evidence", costs: "Costs", settings: "Settings", goal: str
) -> tuple["Settings", "Evidence"]:
    """Return the cheapest settings of one half of the inputs, and the other half.

    The options are printed, and whether a cutoff pays.
    """
    from snn_deploy.cutoff.calibrate import calibrate
    from snn_deploy.profile.optimize import best_of_each_kind, options

    positions, rest = evidence.half_positions()
    first, second = evidence.take(positions), evidence.take(rest)
    here = replace(costs, serial=costs.serial[positions])
    best = best_of_each_kind(options(first, here, settings), goal)
    _show(best, goal, len(positions))
    chosen = best[0].settings
    if not best[0].is_cutoff and chosen.at < evidence.n_timesteps:
        bound = calibrate(second, chosen).loss_bound
        if bound > settings.budget:
            out(f"the other half bounds its loss by {bound:.4f} only: all timesteps")
            chosen = replace(chosen, at=evidence.n_timesteps)
    return chosen, second


def _show(best: "list[Option]", goal: str, n: int) -> None:
    from snn_deploy.report.units import with_prefix

    rows = [
        (
            option.kind,
            _timesteps(option),
            f"{option.mean_timesteps:.2f}",
            with_prefix(option.energy_j, "J"),
            with_prefix(option.latency_s, "s"),
        )
        for option in best
    ]
    columns = ("best of its kind", "looks", "timesteps", "energy", "latency")
    show_table(f"for {goal}, chosen on {n} of the inputs (modelled)", columns, rows)
    winner = best[0]
    if winner.is_cutoff:
        out(f"the cutoff pays: {winner.kind}, {_timesteps(winner)}")
        return
    more = next(o for o in best if o.is_cutoff).cost(goal) / winner.cost(goal) - 1
    out(
        f"no cutoff pays for {goal}: {winner.kind}, {_timesteps(winner)}; the best "
        f"cutoff costs {f'{more:.1%} more' if more >= 0.0005 else 'as much'}"
    )


def _timesteps(option: "Option") -> str:
    settings = option.settings
    if settings.method.takes_timestep:
        return f"after {settings.at}"
    return f"every {settings.poll}"
