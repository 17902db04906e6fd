"""The steps of the demonstration, and what it compares."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snn_deploy.artifact import Artifact, pack
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Part
from snn_deploy.files.writing import packaged_folder, write_whole
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.floating import accumulate, evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.profile.intervals import paired_interval
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.summary import summarize

BATCH = 50


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one network gives: in float, in integers, and with the cutoff."""

    name: str
    limit: int  # timesteps without cutoff
    depth: int  # of the pipeline
    float_accuracy: float
    accuracy: float
    drop: dict[str, float]  # float less integer accuracy: mean, low, high (95 %)
    accuracy_at: tuple[float, ...]  # integers, every input stopped at 1, 2, ...
    early_accuracy: float
    loss: dict[str, float]  # accuracy that the cutoff costs
    timesteps: float  # means with the cutoff
    chip_timesteps: float
    early_energy_j: float | None
    energy_j: float | None
    early_latency_s: float | None
    latency_s: float | None


def write_data(part: Part, path: Path) -> None:
    """Write inputs and labels as the ``.npz`` that the commands read."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            name = "spikes" if part.is_events else "x"
            np.savez_compressed(file, **{name: part.x, "y": part.y})  # type: ignore[arg-type]

    write_whole(path, write)


def compiled(name: str, target: str) -> tuple[Graph, Artifact]:
    """Return a reference model as it was trained, and compiled."""
    graph = load_model(packaged_folder("models") / name / "model.pt")
    return graph, pack(compile_model(graph, read_target(target)))


def float_answers(graph: Graph, data: Data) -> Iterator[int]:
    """Yield the spiking network's answer to each input in float arithmetic."""
    spiking = to_spiking(graph)
    for start in range(0, len(data), BATCH):
        batch = [data.stimulus(i) for i in range(start, min(start + BATCH, len(data)))]
        scores = accumulate(evaluate(spiking, batch), spiking.training.functional)
        yield from scores[:, -1].argmax(axis=-1).tolist()


def outcome(name: str, profile: Profile, answers: Iterable[int]) -> Outcome:
    """Return the comparison of a profile with the answers of the float network."""
    summary = summarize(profile)
    early, fixed = summary["with_cutoff"], summary["all_timesteps"]
    is_right = np.array([*answers]) == profile.fixed_rows.column("label")
    integer = profile.fixed_rows.is_right
    return Outcome(
        name=name,
        limit=summary["timesteps"],
        depth=summary["pipeline_depth"],
        float_accuracy=float(is_right.mean()),
        accuracy=fixed["accuracy"],
        drop=paired_interval(is_right.astype(float) - integer),
        accuracy_at=tuple(summary["accuracy_at_timestep"]),
        early_accuracy=early["accuracy"],
        loss=summary["accuracy_lost"],
        timesteps=early["mean_timesteps"],
        chip_timesteps=early["mean_chip_timesteps"],
        early_energy_j=early["mean_energy_j"],
        energy_j=fixed["mean_energy_j"],
        early_latency_s=early["mean_latency_s"],
        latency_s=fixed["mean_latency_s"],
    )
