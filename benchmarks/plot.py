"""The results as a picture: microseconds per input and timestep, logarithmic."""

from pathlib import Path

from benchmarks.store import Json
from benchmarks.tables import median

SHOWN = {
    "avx512, 1 thread": "snn-deploy, AVX-512",
    "avx2, 1 thread": "snn-deploy, AVX2",
    "plain, 1 thread": "snn-deploy, plain C++",
    "numpy, 1 thread": "snn-deploy, NumPy",
    "torch.compile, 1 thread, batch best": "torch.compile, best batch",
    "spikingjelly, 1 thread, batch best": "SpikingJelly, best batch",
    "norse, 1 thread, batch best": "Norse, best batch",
    "snntorch, 1 thread, batch best": "snnTorch, best batch",
    "torch.compile, 1 thread, batch 1": "torch.compile, batch 1",
    "spikingjelly, 1 thread, batch 1": "SpikingJelly, batch 1",
    "norse, 1 thread, batch 1": "Norse, batch 1",
    "snntorch, 1 thread, batch 1": "snnTorch, batch 1",
    "lava, 1 thread": "Lava, fixed point",
    "lava backend, 1 thread": "Lava (snn-deploy's processes)",
}
OURS = "#1b6ca8"
THEIRS = "#b9b9b9"


def draw(result: Json, path: Path) -> None:
    """Write the picture, one panel for each network."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text
    mpl.rcParams["svg.hashsalt"] = "snn-deploy"  # the same names in every run
    from matplotlib import pyplot

    cases = result["cases"]
    columns = min(3, len(cases))
    rows = -(-len(cases) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(4.6 * columns, 3.9 * rows), squeeze=False
    )
    for axis in axes.flat[len(cases) :]:
        axis.axis("off")
    for axis, (name, case) in zip(axes.flat, cases.items(), strict=False):
        _panel(axis, name, case)
    figure.supxlabel("µs per input and timestep, one thread (Lava: wall time)")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _panel(axis: object, name: str, case: Json) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axis, Axes)
    found = {
        label: case["contenders"][key]["us"]
        for key, label in SHOWN.items()
        if key in case["contenders"]
    }
    middle = [median(us) for us in found.values()]
    spread = [
        [m - min(us) for m, us in zip(middle, found.values(), strict=True)],
        [max(us) - m for m, us in zip(middle, found.values(), strict=True)],
    ]
    colors = [OURS if label.startswith("snn-deploy") else THEIRS for label in found]
    axis.barh(list(found), middle, xerr=spread, color=colors, ecolor="#444444")
    axis.set_xscale("log")
    axis.invert_yaxis()
    axis.set_title(name)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlim(min(middle) / 4, max(middle) * 6)  # a logarithmic axis has no zero
    for position, value in enumerate(middle):
        text = f" {value:,.0f}" if value >= 100 else f" {value:.3g}"
        end = value + spread[1][position]
        axis.text(end, position, text, va="center", fontsize=7)
