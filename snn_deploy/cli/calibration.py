"""What a calibration found, in words and tables."""

from typing import TYPE_CHECKING

import numpy as np

from snn_deploy.cli.console import out, show_table

if TYPE_CHECKING:
    from snn_deploy.host.calibrate import Evidence
    from snn_deploy.host.calibration import Calibration, Settings

MOST_CLASSES = 10


def show_budgets(evidence: "Evidence", settings: "Settings") -> None:
    """Print what each budget would give on these inputs, and the fixed timesteps."""
    from snn_deploy.host.calibrate import calibrate, variants

    n_timesteps, depth = evidence.n_timesteps, evidence.graph.depth
    rows = [
        (name, *_row(evidence, calibrate(evidence, variant)))
        for name, variant in variants(settings, n_timesteps)
    ]
    columns = (
        "epsilon" if settings.rule == "topk" else "budget",
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
    promise = "each row's promise holds alone" if settings.has_promise else "no promise"
    if settings.rule == "fixed":
        promise = (
            "each row's bound holds alone, for a t chosen on other inputs (--split)"
        )
    show_table(f"rule {settings.rule} on {n} inputs; {promise}", columns, rows)
    out(
        f"chip: chip timesteps, with the pipeline's {depth}; compared with all "
        f"{n_timesteps} timesteps served serially ({n_timesteps + depth}) and streamed "
        f"({n_timesteps}), and with the cheapest fixed t that loses no more here"
    )


def _row(evidence: "Evidence", found: "Calibration") -> tuple[str, ...]:
    from snn_deploy.host.calibrate import cheapest_fixed

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
    if found.rule in ("certain", "fixed"):
        return ""
    finite = found.betas[np.isfinite(found.betas)]
    if not len(finite):
        return "0" if found.stops_early else "never stops"
    low, high = finite.min(), finite.max()
    return f"{low:.6g}" if low == high else f"{low:.4g} to {high:.4g}"


def verdict(evidence: "Evidence", found: "Calibration") -> list[str]:
    """Return what to know where a fixed timestep does as well, or nothing."""
    from snn_deploy.host.calibrate import cheapest_fixed

    fixed = cheapest_fixed(evidence, found.loss)
    if found.rule == "fixed" or fixed > found.mean_timesteps:
        return []
    return [
        f"it does not win: {fixed} fixed timesteps for every input lose no more on "
        f"these inputs (fixed:{fixed})"
    ]


def show_classes(evidence: "Evidence", calibration: "Calibration") -> None:
    """Print the classes that spend most of the budget."""
    from snn_deploy.host.calibrate import losses_by_class

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


def describe(calibration: "Calibration") -> list[str]:
    """Return what a calibration found and promises, line by line."""
    loss = "accuracy lost" if calibration.uses_labels else "answers changed"
    return [
        f"rule {calibration.rule}: {_rule(calibration)}",
        *_promise(calibration, loss),
        f"seen: {calibration.mean_timesteps:.2f} of {calibration.timesteps} timesteps "
        f"on average, {loss} {calibration.loss:.4f}",
    ]


def _rule(found: "Calibration") -> str:
    beta = f"{found.betas[found.looks[0] - 1]:.6g}"
    looks = "" if len(found.looks) == found.timesteps else f", {_looks(found)}"
    match found.rule:
        case "certain":
            return "stop once the timesteps left cannot change the answer" + looks
        case "fixed":
            return f"every input stops after timestep {found.looks[0]}"
        case "topk" | "spikecp":
            thresholds = ", ".join(f"{beta:.6g}" for beta in found.betas)
            return f"thresholds per timestep {thresholds}{looks}"
    if not found.stops_early:
        few = found.n_inputs < found.n_inputs_needed
        return "never stops early" + (", since there are too few inputs" if few else "")
    settled = f"the {found.score} is over {beta}"
    if found.score == "gap":
        settled = f"the best output leads by more than {beta}"
    if found.retry_at:
        return (
            f"stop after timestep {found.retry_at} if {settled}, else start again for "
            f"all {found.timesteps}; streamed"
        )
    return f"stop once {settled}{looks}"


def _looks(found: "Calibration") -> str:
    return f"looking at timesteps {', '.join(map(str, found.looks))} only"


def _promise(found: "Calibration", loss: str) -> list[str]:
    if found.rule == "certain":
        return ["promise: no answer changes"]
    how = f"with confidence {found.confidence:g}"
    if found.form == "expectation":
        how = "on average"
    if found.rule == "fixed":
        return [
            "promise: none for a timestep that was chosen on these inputs (choose it "
            f"on the half that --split shows); else {loss} <= {found.loss_bound:.4f}, "
            f"{how}"
        ]
    if found.rule not in ("risk", "retry"):
        return ["promise: none"]
    n = found.n_inputs
    lines = [
        f"promise: {loss} <= {found.budget:g}, {how} over the draw of the {n} "
        "calibration inputs"
    ]
    if n < found.n_inputs_needed:
        lines.append(
            f"{n} calibration inputs cannot promise that; at least "
            f"{found.n_inputs_needed} are needed"
        )
    return lines
