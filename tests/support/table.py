"""The support table, docs/support.md: every cell is the outcome of a case that ran.

A column is a module of this folder with ``CASES``: for rows of ``ROWS`` a function that
is given an empty folder, imports a network of that kind and asserts that it computes
what its framework or format says. An error of ours makes the cell a "no" with the
error's reason; a row without a case is a kind that the framework does not have.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from snn_deploy.errors import SnnDeployError

PATH = Path(__file__).parents[2] / "docs" / "support.md"
# what stands at the head of each column, and the module with its cases
COLUMNS = {
    "PyTorch": "pytorch",
    "Norse": "norse",
    "snnTorch": "snntorch",
    "SpikingJelly": "spikingjelly",
    "sinabs": "sinabs",
    "torch.export": "pt2",
    "NIR": "nir",
    "ONNX": "onnx",
    "lava-dl": "lava_dl",
}
ROWS = {
    "Layers": (
        "Linear",
        "Conv1d",
        "Conv2d",
        "Conv2d, grouped and dilated",
        "Conv2d, depthwise",
        "ConvTranspose2d",
        "BatchNorm1d",
        "BatchNorm2d",
        "AvgPool1d",
        "AvgPool2d",
        "sum pooling",
        "MaxPool1d",
        "MaxPool2d",
        "AdaptiveAvgPool2d",
        "Flatten",
        "view or reshape as flatten",
        "Dropout",
        "nearest upsampling",
    ),
    "Where layers meet": (
        "residual add",
        "concatenation",
        "product of spikes (AND)",
        "product with 1 - spikes (IAND)",
        "maximum of spikes (OR)",
        "max pooling behind a sum",
        "factors and constants",
        "weights behind weights",
        "BatchNorm before the weights",
        "AvgPool2d before the neurons",
        "MaxPool2d before the neurons",
        "several inputs",
    ),
    "Activations": ("ReLU", "ReLU6", "QCFS", "Softmax"),
    "Neurons": (
        "integrate-and-fire",
        "leaky integrate-and-fire",
        "LIF with synaptic current",
        "recurrent neurons",
        "adaptive neurons",
        "leaky integrator as read-out",
        "hard reset",
        "hard reset to another voltage than 0",
        "soft reset",
        "no reset",
        "rest for a timestep after a spike",
        "several spikes in one timestep",
        "spikes worth another number than 1",
        "lowest voltage",
        "learned decay",
        "decay of each channel",
        "threshold of each channel",
        "delays",
        "neurons of one's own, recognized",
        "neurons of one's own, declared",
    ),
}
YES, NONE = "yes", "\u2013"  # a dash
Case = Callable[[Path], object]
Cells = dict[tuple[str, str], str]  # by row and column: yes, or the reason of a no

HEAD = """# What can be deployed

Written by `pytest tests/support --update-golden` from networks that were imported,
compared with their framework over at least 20 timesteps (all spikes equal) and compiled
for `loihi-sim`; the tests fail when this page says something else. Of ONNX, and of
torch.export, come conventional networks, whose outputs are compared instead.

The frameworks run in double precision for this. In single precision rounding may
decide about a voltage that meets its threshold: such spikes are counted, and proved to
be no farther from it than rounding goes, by `tests/conformance/test_float32_ties.py`.

- yes: it computes the same.
- no: refused with an error, for the reason with this number.
- \u2013: the framework or format has no such kind, or there is no case of it.
"""


def outcome(case: Case, folder: Path) -> str:
    """Return what becomes of a case: yes, or the reason why it is refused."""
    try:
        case(folder)
    except SnnDeployError as error:
        _, _, told = str(error).partition(": ")
        return " ".join(told.split("; ")[0].split())
    return YES


def cells_of(column: str, cases: Mapping[str, Case], folder: Path) -> Cells:
    """Return the cells of one column."""
    cells: Cells = {}
    for number, (row, case) in enumerate(cases.items()):
        place = folder / str(number)
        place.mkdir()
        cells[row, column] = outcome(case, place)
    return cells


def render(cells: Cells) -> str:
    """Return the page."""
    reasons = sorted({told for told in cells.values() if told != YES})
    lines = [HEAD]
    for section, rows in ROWS.items():
        lines += [f"## {section}", ""]
        lines += [f"| | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
        for row in rows:
            told = [_cell(cells.get((row, c), NONE), reasons) for c in COLUMNS]
            lines.append(f"| {row} | {' | '.join(told)} |")
        lines.append("")
    lines += ["## Reasons", ""]
    lines += [f"{number}. {told}" for number, told in enumerate(reasons, 1)]
    return "\n".join(lines) + "\n"


def _cell(told: str, reasons: list[str]) -> str:
    return told if told in (YES, NONE) else f"no ({reasons.index(told) + 1})"


def parse(page: str) -> Cells:
    """Return the cells of a page."""
    reasons = {
        f"no ({number})": told
        for number, told in re.findall(r"^(\d+)\. (.*)$", page, re.MULTILINE)
    }
    cells: Cells = {}
    columns: list[str] = []
    for line in page.splitlines():
        if not line.startswith("|") or line.startswith("|---"):
            continue
        row, *told = [part.strip() for part in line.strip("|").split(" | ")]
        if line.startswith("| |"):
            columns = [part.strip() for part in line.strip("| ").split(" | ")]
            continue
        for column, cell in zip(columns, told, strict=True):
            if cell != NONE:
                cells[row, column] = reasons.get(cell, cell)
    return cells
