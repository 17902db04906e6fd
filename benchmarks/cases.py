"""What is run: the random networks and the trained models, with inputs and cutoffs."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.contender import AbsentError
from benchmarks.networks import NETWORKS, inputs, mapped
from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Split, load_split
from snn_deploy.errors import DataError
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.profile.calibrating import calibrated
from snn_deploy.training.recipe_file import read_recipe
from snn_deploy.training.recipes import Recipe

TARGET = "loihi-sim"
MULTIPLICATIONS = 4_000_000_000  # about as many for the inputs of one measurement
N_INPUTS = 512
LEAST_INPUTS = 16
WANTED_FRACTION = 0.3  # of the timesteps, where no calibration says when to stop
BUDGET, CONFIDENCE = 0.01, 0.9
N_CALIBRATION = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A network, different inputs for it, and when to stop each of them."""

    name: str
    artifact: Artifact
    pool: list[Stimulus]  # enough for the largest batch
    betas: FloatArray  # (n_timesteps,)

    @cached_property
    def stimuli(self) -> list[Stimulus]:
        """The inputs of one measurement of the engine, which takes one by one."""
        per_input = multiplications(self.graph) * self.n_timesteps
        return self.pool[: max(MULTIPLICATIONS // per_input, LEAST_INPUTS)]

    @property
    def network(self) -> MappedNetwork:
        return self.artifact.network

    @property
    def graph(self) -> QuantizedGraph:
        return self.artifact.network.graph

    @property
    def n_timesteps(self) -> int:
        return self.graph.training.timesteps

    @cached_property
    def scores(self) -> IntArray:
        """The engine's accumulated outputs, ``(n, n_timesteps, n_classes)``."""
        program = CpuProgram(self.network)
        return collect_scores(program, self.network, enumerate(self.stimuli))


def names() -> list[str]:
    """Return the names of all cases: random networks, then trained models."""
    trained = packaged_folder("models").glob("*/model.pt")
    return [*NETWORKS, *sorted(path.parent.name for path in trained)]


def case(name: str, data_dirs: Sequence[Path] = ()) -> Case:
    """Return the network called ``name``.

    Raises
    ------
    AbsentError
        If the data that it was trained on are in none of ``data_dirs``.
    """
    if name in NETWORKS:
        return _random_case(name)
    try:
        return _trained_case(name, data_dirs)
    except DataError as error:
        raise AbsentError(str(error)) from None


def multiplications(graph: QuantizedGraph) -> int:
    """Return the products of a dense computation of one timestep."""
    return sum(
        p.synapses.fan_in * graph.population(p.target).size for p in graph.projections
    )


def _random_case(name: str) -> Case:
    graph = NETWORKS[name]()
    artifact = pack(mapped(graph))
    pool = inputs(graph, N_INPUTS)
    program = CpuProgram(artifact.network)
    scores = collect_scores(program, artifact.network, enumerate(pool[:64]))
    betas = np.full(graph.training.timesteps, _beta(scores))
    return Case(name=name, artifact=artifact, pool=pool, betas=betas)


def _beta(scores: IntArray) -> float:
    """Return the threshold that stops after about the wanted share of timesteps."""
    ordered = np.sort(scores, axis=-1)
    largest_gap = int((ordered[..., -1] - ordered[..., -2]).max())
    wanted = WANTED_FRACTION * scores.shape[1]
    return min(
        (float(beta) for beta in range(largest_gap + 1)),
        key=lambda beta: abs(stops(scores, risk(beta)).mean() - wanted),
    )


def parser_of_folders(description: str) -> argparse.ArgumentParser:
    """Return a parser for folders of trained networks, as ``trained`` reads them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--target", default=TARGET)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--data-dir", type=Path, action="append", default=[])
    return parser


def trained(options: argparse.Namespace) -> Iterator[tuple[str, Graph, Split]]:
    """Yield each folder's name, its network, and the data that it was trained on."""
    for folder in options.folders:
        recipe = read_recipe(folder / "recipe.toml")
        graph = load_model(folder / "model.pt")
        yield folder.name, graph, split_of(recipe, options.data_dir)


def split_of(recipe: Recipe, data_dirs: Sequence[Path]) -> Split:
    """Return the data of a recipe, if one of the folders has them.

    Raises
    ------
    DataError
        If none has; it names no folder, since results are published.
    """
    for folder in data_dirs or (None,):
        try:
            return load_split(recipe.data, data_dir=folder, timesteps=recipe.timesteps)
        except DataError:
            continue
    raise DataError(f"its data, {recipe.data}, are in none of the folders given")


def _trained_case(name: str, data_dirs: Sequence[Path]) -> Case:
    folder = packaged_folder("models") / name
    graph = load_model(folder / "model.pt")
    artifact = pack(compile_model(graph, read_target(TARGET)))
    training = artifact.network.graph.training
    split = split_of(read_recipe(folder / "recipe.toml"), data_dirs)
    part = split.calibration
    data = Data(x=part.x[:N_CALIBRATION], y=part.y[:N_CALIBRATION], training=training)
    settings = Settings(budget=BUDGET, confidence=CONFIDENCE)
    artifact = calibrated(artifact, data, settings)
    assert artifact.calibration is not None
    test = Data(x=split.test.x, y=split.test.y, training=training)
    return Case(
        name=name,
        artifact=artifact,
        pool=[stimulus for _, stimulus in test.stimuli(N_INPUTS)],
        betas=artifact.calibration.betas,
    )
