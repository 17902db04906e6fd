"""What a calibration found, in words and tables."""

from typing import TYPE_CHECKING

import numpy as np

from snn_deploy.cli.console import out, show_table

if TYPE_CHECKING:
    from snn_deploy.cutoff.evidence import Evidence
    from snn_deploy.cutoff.rules.rule import Calibration, Settings

MOST_CLASSES = 10


def show_budgets(evidence: "Evidence", settings: "Settings") -> None:
    """Print what each budget would give on these inputs, and the fixed timesteps."""
    from snn_deploy.cutoff.calibrate import calibrate

    n_timesteps, depth = evidence.n_timesteps, evidence.graph.depth
    rows = [
        (name, *_row(evidence, calibrate(evidence, variant)))
        for name, variant in settings.method.variants(settings, n_timesteps)
    ]
    columns = (
        settings.method.budget_in_words,
        "threshold",
        "timesteps",
        "chip",
        f"of {n_timesteps + depth}",
        f"of {n_timesteps}",
        "fixed t",
        "of t serial",
        "of t streamed",
        "loss <=",
        "loss seen",
    )
    n = len(evidence.scores)
    promise = settings.method.comparison_in_words()
    show_table(f"rule {settings.rule} on {n} inputs; {promise}", columns, rows)
    out(
        f"chip: chip timesteps, with the pipeline's {depth}; compared with all "
        f"{n_timesteps} timesteps served serially ({n_timesteps + depth}) and streamed "
        f"({n_timesteps}), and with the cheapest fixed t that loses no more here"
    )


def _row(evidence: "Evidence", found: "Calibration") -> tuple[str, ...]:
    from snn_deploy.cutoff.calibrate import cheapest_fixed

    if found.n_inputs < found.n_inputs_needed:
        return (f"needs {found.n_inputs_needed:,}", *[""] * 9)
    n_timesteps, depth = evidence.n_timesteps, evidence.graph.depth
    chip = found.mean_timesteps + (0 if found.retry_at else depth)
    fixed = cheapest_fixed(evidence, found.loss)
    return (
        _threshold(found),
        f"{found.mean_timesteps:.2f}",
        f"{chip:.2f}",
        f"{chip / (n_timesteps + depth) - 1:+.0%}",
        f"{chip / n_timesteps - 1:+.0%}",
        str(fixed),
        f"{chip / (fixed + depth) - 1:+.0%}",
        f"{chip / fixed - 1:+.0%}",
        "" if found.loss_bound == 1 else f"{found.loss_bound:.4f}",
        f"{found.loss:.4f}",
    )


def _threshold(found: "Calibration") -> str:
    betas = found.betas[found.betas < np.inf]
    if not len(betas):
        return "never stops"
    low, high = betas.min(), betas.max()
    return f"{low:.6g}" if low == high else f"{low:.4g} to {high:.4g}"


def verdict(evidence: "Evidence", found: "Calibration") -> list[str]:
    """Return what to know where a fixed timestep does as well, or nothing."""
    from snn_deploy.cutoff.calibrate import cheapest_fixed

    fixed = cheapest_fixed(evidence, found.loss)
    if not found.method.decides_by_input or fixed > found.mean_timesteps:
        return []
    return [
        f"it does not win: {fixed} fixed timesteps for every input lose no more on "
        f"these inputs (fixed:{fixed})"
    ]


def show_classes(evidence: "Evidence", calibration: "Calibration") -> None:
    """Print the classes that spend most of the budget."""
    from snn_deploy.cutoff.calibrate import losses_by_class

    losses = losses_by_class(evidence, calibration)
    rows = [
        (c.label, c.n, f"{c.mean_timesteps:.2f}", c.n_unsafe, f"{c.lost:+.4f}")
        for c in losses[:MOST_CLASSES]
    ]
    kind = "class" if calibration.uses_labels else "last answer"
    left = len(losses) - len(rows)
    show_table(
        f"where the budget is spent{f' ({left} more classes spend less)' * bool(left)}",
        (kind, "inputs", "timesteps", "stopped too early", "loss seen"),
        rows,
    )
