"""What a verification found, in words: for the terminal and the report."""

from snn_deploy.verify.causes import Parting
from snn_deploy.verify.result import LayerReport

MOST_CAUSES = 3
SMALLEST_SHARE = 0.005  # is not named; it would be printed as 0 %


def place(parting: Parting | None) -> str:
    """Return timestep, input and neuron; empty if there is none."""
    if parting is None:
        return ""
    neuron = " ".join(map(str, parting.neuron))
    return f"{parting.timestep}, {parting.input}, {neuron}"


def cause(report: LayerReport) -> str:
    """Return what makes a layer's float and integers part."""
    parts = []
    if report.inherited_from is not None:
        parts.append(f"inherited from {report.inherited_from}")
    elif report.first is not None and report.first_alone is None:
        parts.append("unexplained")
    alone = [
        f"{name} ({100 * share:.0f} %)"
        for name, share in report.reproduced.items()
        if share >= SMALLEST_SHARE
    ]
    if alone or report.causes:
        parts.append(", ".join(alone[:MOST_CAUSES]) or " or ".join(report.causes))
    return "; alone: ".join(parts)
