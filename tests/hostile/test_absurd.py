"""Files that are right in type and absurd in value: refused in a line, or run.

The checksums are right: whoever wrote such a file meant it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.artifact import read_artifact
from snn_deploy.chip.target_file import read_target
from snn_deploy.cli import main
from snn_deploy.errors import ArtifactError, CalibrationError, SnnDeployError
from tests.hostile.manifests import Edit, Tensors, write_edited
from tests.hostile.networks import SHAPE
from tests.hostile.readers import READERS

pytestmark = pytest.mark.usefixtures("little_time_and_memory")
HUGE = (10**9, 2**70, 10**400)


def network(manifest: Any) -> Any:
    return manifest["network"]


def graph(manifest: Any) -> Any:
    return manifest["network"]["graph"]


def population(i: int, **values: Any) -> Edit:
    return lambda m, t: graph(m)["populations"][i].update(values)


def projection(i: int, **values: Any) -> Edit:
    return lambda m, t: graph(m)["projections"][i].update(values)


def synapses(i: int, **values: Any) -> Edit:
    return lambda m, t: graph(m)["projections"][i]["synapses"].update(values)


def core(**values: Any) -> Edit:
    return lambda m, t: network(m)["cores"][1].update(values)


def training(**values: Any) -> Edit:
    return lambda m, t: graph(m)["training"].update(values)


def source(**values: Any) -> Edit:
    return lambda m, t: graph(m)["source"].update(values)


def target(part: str, **values: Any) -> Edit:
    return lambda m, t: network(m)["target"][part].update(values)


def piece(**values: Any) -> Edit:
    return lambda m, t: network(m)["cores"][0]["pieces"][0].update(values)


def calibrated(name: str, value: object) -> Edit:
    return lambda m, t: m["calibration"].update({name: value})


def prices(value: float) -> Edit:
    def edit(manifest: Any, tensors: Tensors) -> None:
        for _, cost in network(manifest)["target"]["costs"]:
            for name, known in cost.items():
                if isinstance(known, float):
                    cost[name] = value

    return edit


def tensor(end: str, change: Callable[[Any], Any]) -> Edit:
    """Return what changes the one tensor whose name ends so."""

    def edit(manifest: Any, tensors: Tensors) -> None:
        (name,) = (name for name in tensors if name.endswith(end))
        tensors[name] = np.asarray(change(tensors[name]))

    return edit


def all_of(*edits: Edit) -> Edit:
    return lambda m, t: [edit(m, t) for edit in edits]


def many_cores(manifest: Any, tensors: Tensors) -> None:
    empty = {"type": "Neurocore", "index": 2, "x": 0, "y": 0, "pieces": []}
    network(manifest)["cores"] += [empty] * 50_000


def one_tile(manifest: Any, tensors: Tensors) -> None:
    for each in network(manifest)["cores"]:
        each.update(x=0, y=0)
    network(manifest)["target"]["mesh"].update(neurocores_per_tile=1, neurocores=8)


def self_loop(manifest: Any, tensors: Tensors) -> None:
    tensors["loop"], tensors["late"] = np.eye(3, dtype=np.int64), np.array(0)
    loop = {"type": "Projection", "name": "loop", "source": "3_sum", "delay": 0}
    weights = {"type": "DenseSynapses", "weights": {"tensor": "loop"}}
    loop |= {"target": "3_sum", "exponent": 0, "axon_delay": {"tensor": "late"}}
    graph(manifest)["projections"].append({**loop, "synapses": weights})


def without_synapses(manifest: Any, tensors: Tensors) -> None:
    tensors["none"] = np.zeros(0, np.int64)
    rows = {key: {"tensor": "none"} for key in ("targets", "sources", "weights")}
    empty = {"type": "SparseSynapses", "size": [3, 32], **rows}
    graph(manifest)["projections"][1]["synapses"] = empty


LAST = "projections.1->3_sum#0"
REFUSED: dict[str, tuple[str, Edit]] = {
    **{
        f"{axis} {value:.0e}" if value < 1e300 else f"{axis} 1e400": (message, edit)
        for axis in ("x", "y")
        for value, message, edit in (
            (10**5, "lies on tile", core(**{axis: 10**5})),
            (10**18, "lies on tile", core(**{axis: 10**18})),
            (10**30, "over 2", core(**{axis: 10**30})),
            (10**400, "over 2", core(**{axis: 10**400})),
            (-5, "lies on tile", core(**{axis: -5})),
        )
    },
    "two neurocores of one number": ("number those in use", core(index=0)),
    "a neurocore of a huge number": ("number those in use", core(index=10**15)),
    "many empty neurocores": ("number those in use", many_cores),
    "a full tile": ("3 neurocores on one tile, which has 1", one_tile),
    "T 1e6": ("allowed are 100000", training(timesteps=10**6)),
    "T 1e9": ("allowed are 100000", training(timesteps=10**9)),
    "T 1e30": ("over 2", training(timesteps=10**30)),
    "T 0": ("at least 1 is needed", training(timesteps=0)),
    "scale nan": ("nan is not finite", training(input_scale=float("nan"))),
    "scale inf": ("not finite", training(input_scale=float("inf"))),
    "scale 1e300": ("scale the first layer", training(input_scale=1e300)),
    "dt nan": ("of no allowed type", training(dt=float("nan"))),
    "offset under 0": ("offset is -1", population(0, offset=-1)),
    "offset 1e7": ("offset is 10000000", population(1, offset=10**7)),
    "a spike that arrives before it is sent": (
        "a delay of 1 timesteps, at least 5 are needed", population(1, offset=6),
    ),
    "delay 0": ("at least 1 are needed", projection(0, delay=0)),
    "delay 1e6": ("the delay is 1000000", projection(1, delay=10**6)),
    "delay 1e5": ("allows 63", projection(1, delay=10**5)),
    "axon delay 1e6": (
        "a delay of an axon is 1000000", tensor(f"{LAST}.axon_delay", lambda a: 10**6),
    ),
    "axon delay 2e63": (
        "delay of an axon is", tensor(f"{LAST}.axon_delay", lambda a: 2**63 - 1),
    ),
    "exponent 1e9": ("the exponent is 1000000000", projection(1, exponent=10**9)),
    "exponent -1e9": ("the exponent is -1000000000", projection(1, exponent=-(10**9))),
    "exponent 40": ("the exponent is 40", projection(1, exponent=40)),
    "worth 0": ("worth up to 0", source(largest_value=0)),
    "worth 2e70": ("over 2", source(largest_value=2**70)),
    "no input": ("sizes must be over 0", source(shape=[0, 4, 4])),
    "an input of -1": ("sizes must be over 0", source(shape=[-1, -4, 4])),
    "an input of true": ("True is not of type int", source(shape=[True, 4, 4])),
    "a population without neurons": ("must be over 0", population(1, shape=[0])),
    "weights 2e40": (
        "a weight is",
        tensor(f"{LAST}.synapses.weights", lambda w: np.full(w.shape, 2**40)),
    ),
    "weights -2e63": (
        "a weight is",
        tensor(f"{LAST}.synapses.weights", lambda w: np.full(w.shape, -(2**63))),
    ),
    "weights of uint64": (
        "is over 2",
        tensor(
            f"{LAST}.synapses.weights",
            lambda w: np.full(w.shape, 2**64 - 1, np.uint64),
        ),
    ),
    "weights of bool": (
        "is of type bool", tensor(f"{LAST}.synapses.weights", lambda w: w > 0),
    ),
    "stride 1e9": ("do not lead", synapses(0, stride=[10**9, 10**9])),
    "padding 1e9": ("do not lead", synapses(0, padding=[10**9, 10**9])),
    "groups -1": ("do not lead", synapses(0, groups=-1)),
    "scales nan": ("a scale is", tensor("3_sum.scale", lambda s: s * np.nan)),
    "scales 0": ("a scale is", tensor("3_sum.scale", lambda s: s * 0)),
    "refractory 2e40": ("refractory is", population(0, refractory=2**40)),
    "a name that steers the terminal": (
        "holds U\\+001B", lambda m, t: graph(m).update(name="\x1b[31mRED"),
    ),
    "a name that turns the text": (
        "holds U\\+202E", lambda m, t: graph(m).update(name="a\u202eb"),
    ),
    "a name of half a character": (
        "holds U\\+D800", lambda m, t: graph(m).update(name="a\ud800b"),
    ),
    "a name of two million characters": (
        "has 2000000 characters", lambda m, t: graph(m).update(name="A" * 2_000_000),
    ),
    "prices nan": ("of no allowed type", prices(float("nan"))),
    "prices inf": ("of no allowed type", prices(float("inf"))),
    "prices 1e308": ("give 0 to 1e\\+06", prices(1e308)),
    "prices under 0": ("give 0 to 1e\\+06", prices(-1.0)),
    "a barrier of nan": ("not finite", target("barrier", time_s=[float("nan")] * 9)),
    "a price of nothing": (
        "give each of them once",
        lambda m, t: network(m)["target"]["costs"].append(
            ["<b>", {"type": "Cost", "source": "x"}]
        ),
    ),
    "a price twice": (
        "give each of them once",
        lambda m, t: network(m)["target"]["costs"].append(
            ["fire", {"type": "Cost", "source": "x"}]
        ),
    ),
    "board 1e9": ("allowed are 4096", target("board", height=10**9, width=10**9)),
    "board 2e70": ("over 2", target("board", height=2**70)),
    "mesh 1e9": ("allowed are 1048576", target("mesh", height=10**9, width=10**9)),
    "mesh 2000": ("allowed are 1048576", target("mesh", height=2000, width=2000)),
    "a tile of 1e9": ("allowed are 1048576", target("mesh", neurocores_per_tile=10**9)),
    "room 2e50": ("which no chip has", target("neurocore", compartments=2**50)),
    "many lossy steps": (
        "lossy steps, allowed are 10000",
        lambda m, t: graph(m).update(changes=graph(m)["changes"] * 4_000),
    ),
    "a lossy step that steers the terminal": (
        "holds U\\+001B", lambda m, t: graph(m)["changes"][0].update(note="\x1b[31m"),
    ),
    "axons under 0": ("less than nothing", piece(n_input_axons=-1)),
    "axons 1e400": ("over 2", piece(n_output_axons=10**400)),
    "neurons in two axes": (
        "no ascending row", tensor("cores.1.pieces.0.neurons", lambda n: n[None]),
    ),
    "a neuron twice": (
        "no ascending row",
        tensor("cores.1.pieces.0.neurons", lambda n: np.append(n, n[-1])),
    ),
    "neurons backward": (
        "no ascending row", tensor("cores.1.pieces.0.neurons", lambda n: n[::-1]),
    ),
    "a loop without delay": ("a loop without delay", self_loop),
    "two projections of one name": (
        "2 populations or projections have this name",
        projection(1, name="input->1#0"),
    ),
    "nothing arrives": (
        "nothing reaches what is read out",
        lambda m, t: graph(m).update(projections=[]),
    ),
    "a projection without synapses": ("has no synapses", without_synapses),
    "a projection called like a population": (
        "2 populations or projections have this name", projection(1, name="1"),
    ),
}  # fmt: skip
CALIBRATIONS: dict[str, tuple[str, Edit]] = {
    f"{name} {value}": (message, calibrated(name, value))
    for name, value, message in (
        ("budget", 7.0, "budget is 7.0"),
        ("confidence", float("inf"), "not finite"),
        ("loss", -9.0, "loss is -9.0"),
        ("loss_bound", float("nan"), "not finite"),
        ("mean_timesteps", 1e9, "mean_timesteps is 1000000000.0"),
        ("n_inputs", -1, "n_inputs is -1"),
        ("n_inputs", 10**400, "over 2"),
        ("scale", 0.0, "scale is 0.0"),
        ("form", "\x1b[31m", "is damaged; known are probability"),
        ("rule", "certain", "gains for 0 classes"),
        ("rule", "retry", "polls 0 times"),
    )
} | {
    "betas nan": ("NaN or infinite", tensor("betas", lambda b: b * np.nan)),
    "hashes in two axes": ("they are a row", tensor("hashes", lambda h: h[None])),
    "scores in two axes": ("they are a row", tensor("first_scores", lambda s: s[None])),
    "scores nan": ("NaN or infinite", tensor("first_scores", lambda s: [np.nan])),
    "polled twice": ("do not ascend", tensor("polled", lambda p: [2, 2])),
    "polled in two axes": ("they are a row", tensor("polled", lambda p: [[2]])),
    "certain of other classes": (
        "thresholds are for 2 outputs, the network has 3",
        all_of(
            lambda m, t: m["calibration"].update(rule="certain"),
            tensor("gains", lambda g: np.ones((2, 2))),
            tensor("steps", lambda s: np.ones(2)),
        ),
    ),
}  # fmt: skip
RUN: dict[str, Edit] = {
    "as it is": lambda m, t: None,
    "T 1000": all_of(training(timesteps=1000), lambda m, t: m.update(calibration=None)),
    "an input of another form": source(shape=[1, 2, 8]),
    "exponent -32": projection(1, exponent=-32),
    "prices 1e6": prices(1e6),
    "a large board": target("board", height=64, width=64),
    "a chip of a million neurocores": target(
        "mesh", height=512, width=512, neurocores_per_tile=4, neurocores=2**20
    ),
    "a far neurocore": all_of(
        target("mesh", height=512, width=512, neurocores_per_tile=4, neurocores=2**20),
        core(x=511, y=511),
    ),
    "many spikes in a timestep": population(0, refractory=63),
    "rates": training(encoding="rate"),
    "a read-out that spikes": population(1, spikes=True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_absurd_network_is_refused(tmp_path: Path, name: str) -> None:
    message, edit = REFUSED[name]
    path = write_edited(tmp_path / "absurd.snn", READERS["model.snn"].content, edit)

    with pytest.raises(ArtifactError, match=message) as refusal:
        read_artifact(path)

    assert str(refusal.value).startswith(f"{path}: damaged or edited (")
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 2000


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_an_absurd_calibration_is_refused(tmp_path: Path, name: str) -> None:
    message, edit = CALIBRATIONS[name]
    path = write_edited(tmp_path / "absurd.snn", READERS["model.snn"].content, edit)

    with pytest.raises((ArtifactError, CalibrationError), match=message) as refusal:
        read_artifact(path)

    assert str(refusal.value).isprintable()
    assert str(refusal.value).startswith(str(path))
    assert str(refusal.value).endswith(" again")


@pytest.mark.parametrize("name", RUN)
def test_what_is_let_through_is_drawn_and_runs(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_edited(tmp_path / "odd.snn", READERS["model.snn"].content, RUN[name])
    shape = (1, 2, 8) if "form" in name else SHAPE
    values = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    np.savez(tmp_path / "x.npz", x=values, y=np.array([0, 1]))
    read_artifact(path)

    drawn = main(["inspect", str(path), "--map", str(tmp_path / "map.svg")])
    ran = main(
        ["profile", str(path), "--data", str(tmp_path / "x.npz"), "--backend", "cpu",
         "--csv", "--detail", "--pictures", "-o", str(tmp_path / "profile")]
    )  # fmt: skip

    said = capsys.readouterr().err
    assert drawn == 0, said
    assert (tmp_path / "map.svg").stat().st_size < 10 << 20
    assert ran == 0 or said.startswith("error: ")
    assert "a fault of snn-deploy" not in said


# targets

CHIP = READERS["target.toml"].content.decode()
TARGETS = {
    "compartments = 1024": ("compartments = 9" + "0" * 30, "which no chip has"),
    "height = ": ("height = 99999999", "allowed are 1048576"),
    "weight_exponent_min = -8": ("weight_exponent_min = -900000", "allowed is -32"),
    "current_decay_min = ": ("current_decay_min = -7 #", "allowed is -1"),
    "energy_pj = ": ("energy_pj = 1e300 #", "give 0 to 1e\\+06"),
    "energy_pj = 5": ("energy_pj = 1" + "0" * 400 + " #", "give a number, 0 or more"),
    "time_ns = 3.5": ("time_ns = 1e308", "'time_s' is 1e\\+299; give 0 to 1e\\+06"),
    'name = "': ('name = "\\u001b[31m', "holds U\\+001B"),
    'description = "': ('description = "\\u202e', "holds U\\+202E"),
    'source = "': ('source = "\\u0007', "holds U\\+0007"),
}


@pytest.mark.parametrize("line", TARGETS)
def test_an_absurd_target_is_refused(tmp_path: Path, line: str) -> None:
    other, message = TARGETS[line]
    assert line in CHIP
    path = tmp_path / "chip.toml"
    path.write_text(CHIP.replace(line, other, 1), encoding="utf-8")

    with pytest.raises(SnnDeployError, match=message) as refusal:
        read_target(str(path))

    assert str(refusal.value).isprintable()


def test_a_board_of_a_billion_chips_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chip.toml"
    size = "[board]\nheight = 4 "
    assert size in CHIP
    path.write_text(CHIP.replace(size, "[board]\nheight = 112500000 #"))

    with pytest.raises(SnnDeployError, match="chips are 900000000, allowed are 4096"):
        read_target(str(path))
