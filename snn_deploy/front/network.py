"""A compiled network as one object: calibrate it, ask it, price it, save it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn_deploy.artifact import (
    Artifact,
    answering,
    pack,
    read_artifact,
    write_artifact,
)
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target import Target
from snn_deploy.chip.target_file import read_target, target_names
from snn_deploy.compiler.fit import Fit, fit, fit_compiled
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.compiler.retarget import retarget
from snn_deploy.convert import write_integers
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import decide_inputs
from snn_deploy.cutoff.rules.rule import Calibration, Settings
from snn_deploy.errors import CalibrationError, DataError, ModelError, TargetError
from snn_deploy.exporters.c.folder import Sizes
from snn_deploy.files.writing import packaged_folder
from snn_deploy.front.exporting import export_c
from snn_deploy.front.inputs import as_batch, as_data
from snn_deploy.front.models import graph_of
from snn_deploy.front.network_tables import network_tables
from snn_deploy.front.options import check_options, options_of
from snn_deploy.front.profiled import Profiled
from snn_deploy.front.progress import Progress, bar
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.heads import HeadKind
from snn_deploy.profile.calibrating import (
    calibrated,
    check_asked,
    decided_on_chip,
)
from snn_deploy.profile.profile import profile_inputs
from snn_deploy.report.units import with_prefix
from snn_deploy.showing import as_html, as_text
from snn_deploy.verify.result import Verification
from snn_deploy.verify.verification import verify

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a network answers to one input, and what that cost."""

    prediction: int
    timesteps: int
    n_timesteps: int  # at most
    energy_j: float | None  # modelled; ``None``: the target has no prices
    latency_s: float | None
    values: tuple[float, ...]  # of all outputs, in the trained network's units
    is_class: bool = True  # else each output is a value, and the prediction is 0

    def __repr__(self) -> str:
        """Say it in a line: ``7 after 2 of 8 timesteps, 41.0 µJ (modelled, ...)``."""
        answer = str(self.prediction)
        if not self.is_class:
            answer = " ".join(f"{value:.6g}" for value in self.values)
        cost = "energy unknown"
        if self.energy_j is not None:
            cost = f"{with_prefix(self.energy_j, 'J')} (modelled, up to the board)"
        return f"{answer} after {self.timesteps} of {self.n_timesteps} " + (
            f"timesteps, {cost}"
        )


class Network:
    """A network in chip integers on the neurocores of a target.

    ``compile`` and ``load`` make one. Only ``calibrate`` changes it.

    Attributes
    ----------
    artifact : Artifact
        What ``save`` writes: the integers, where they lie, and the thresholds.
    graph : Graph or None
        The trained network that it was compiled from; ``None`` if it was loaded.
    """

    def __init__(self, artifact: Artifact, graph: Graph | None = None) -> None:
        self.artifact = artifact
        self.graph = graph

    def __repr__(self) -> str:
        """Return a short table of layers, neurons, neurocores and losses."""
        return as_text(*network_tables(self.artifact))

    def _repr_html_(self) -> str:
        return as_html(*network_tables(self.artifact))

    def __call__(self, x: Any, *more: Any) -> Answer:
        """Return the answer to one input, with the cutoff if it is calibrated.

        Parameters
        ----------
        x : array or tensor, (input_shape...)
            As the network was trained: from 0 to 1 or bytes; or spikes
            ``(n_timesteps, input_shape...)``, or a recording of events (x, y, p, t).
            Of several inputs a dict of them, or the first,
        *more : array or tensor
            and the others, in order.
        """
        inputs = as_batch((x, *more), self.artifact.network.graph)
        found = self.profile(inputs, has_rivals=False, progress=False)
        (row,) = found.rows
        network = self.artifact.network
        graph = network.graph
        cutoff = never if self.calibration is None else self.calibration.cutoff
        program = open_backend("cpu").load(network)
        try:
            ((_, scores),) = decide_inputs(
                program, network, found.data.stimuli(), cutoff
            )
        finally:
            program.close()
        return Answer(
            prediction=row.prediction,
            timesteps=row.timesteps,
            n_timesteps=graph.training.timesteps,
            energy_j=row.energy_j,
            latency_s=row.latency_s,
            values=tuple(graph.in_units(scores[-1], len(scores)).tolist()),
            is_class=graph.head.kind is HeadKind.CLASS,
        )

    @property
    def calibration(self) -> Calibration | None:
        """The thresholds of the cutoff; ``None`` before ``calibrate``."""
        return self.artifact.calibration

    def answering(self, head: str) -> "Network":
        """Return the same network, whose answers are those of the head of that name.

        It is not calibrated, unless that head answers already.
        """
        return Network(answering(self.artifact, head), self.graph)

    def calibrate(
        self,
        x: Any,
        y: Any = None,
        *,
        budget: float = 0.01,
        confidence: float = 0.9,
        rule: str = "risk",
        progress: Progress = True,
        **settings: Any,
    ) -> Calibration:
        """Find the thresholds of the cutoff on inputs that were not trained on.

        This changes the network: from now on it stops early. Parameters beside ``x``
        and ``y`` (see ``profile``) are those of ``Settings``.

        Parameters
        ----------
        x, y
            Inputs and labels; without labels the answer at all timesteps is the truth.
        budget : float
            How much of the accuracy may be lost, from 0 to 1.
        confidence : float
            With which the loss stays within the budget.
        rule : str
            ``"risk"``, ``"topk"``, ``"certain"``, ``"retry"``, ...
        """
        own = options_of(Network.calibrate)
        named = {"rule": rule, "budget": budget, "confidence": confidence, **settings}
        check_options("calibrate", named, own | options_of(Settings), CalibrationError)
        asked = Settings(rule=rule, budget=budget, confidence=confidence, **settings)
        data = as_data(x, y, self.artifact.network.graph)
        check_asked(self.artifact, data, asked)
        shown = bar(progress)
        self.artifact = calibrated(
            self.artifact, data, asked, lambda found: shown(found, len(data), "inputs")
        )
        found = self.artifact.calibration
        assert found is not None
        return found

    def on_chip(self, *, silences: bool = False) -> "Network":
        """Return a network whose own neurons hold the cutoff, and end a run.

        One of its outputs spikes, once, for the answer. Nobody reads before that.

        Parameters
        ----------
        silences : bool
            Behind the answer, inhibit the layers that hear the input.
        """
        own = options_of(Network.on_chip)
        check_options("on_chip", {"silences": silences}, own, CalibrationError)
        return Network(decided_on_chip(self.artifact, silences=silences))

    def profile(
        self,
        x: Any,
        y: Any = None,
        *,
        limit: int | None = None,
        monitor: str = "embedded",
        has_rivals: bool = True,
        progress: Progress = True,
    ) -> Profiled:
        """Run inputs with the cutoff and without, and price each of them.

        Parameters
        ----------
        x : array, tensor, data set, loader or path
            ``(n, input_shape...)`` from 0 to 1, or bytes; spikes ``(n, n_timesteps,
            input_shape...)`` for a network of events. A torch ``Dataset`` or
            ``DataLoader`` yields inputs and labels; an ``.npz``, ``.pt`` or dict holds
            ``x`` or ``spikes``, and ``y``, and ``lengths`` where inputs differ in
            timesteps, as those of a list may. Of a network of several inputs, a dict
            or file by their names, a tuple, or items ((image, sound), label).
            Recordings, arrays with the fields x, y,
            p and t, are sorted into timesteps.
        y : array or tensor, (n,) or (n, n_outputs), optional
            Labels, or rows with a single 1; or floats: values that the outputs should
            have, in the network's units.
        limit : int, optional
            Only the first inputs.
        monitor : {"embedded", "host"}
            The processor that reads the outputs.
        has_rivals : bool
            Price a single timestep for all, and one pass of graded spikes, as well.
        progress : bool or callable
            A bar where there is a terminal or a notebook; ``tqdm.auto.tqdm`` for one
            of yours; or none.
        """
        given = {"limit": limit, "monitor": monitor, "has_rivals": has_rivals}
        check_options("profile", given, options_of(Network.profile), DataError)
        data = as_data(x, y, self.artifact.network.graph)
        calibration = self.artifact.calibration
        found = profile_inputs(
            self.artifact,
            open_backend("cpu"),
            data,
            cutoff=None if calibration is None else calibration.cutoff,
            calibration=calibration,
            monitor=monitor,
            limit=limit,
            has_rivals=has_rivals,
            progress=bar(progress),
        )
        return Profiled(found, data)

    def verify(
        self,
        x: Any,
        y: Any = None,
        *,
        model: Graph | AnyPath | None = None,
        limit: int | None = 100,
        progress: Progress = True,
    ) -> Verification:
        """Compare the trained network with the integers, layer by layer.

        Parameters
        ----------
        x, y
            See ``profile``.
        model : Graph or path, optional
            What it was compiled from; needed if the network was loaded.
        """
        own = options_of(Network.verify)
        check_options("verify", {"limit": limit}, own, DataError)
        trained = self.graph if model is None else model
        if trained is None:
            raise ModelError(
                f"{self.artifact.network.graph.name}: was loaded, and does not know "
                "the network it was compiled from; give it as model="
            )
        graph = trained if isinstance(trained, Graph) else load_model(trained)
        data = as_data(x, y, self.artifact.network.graph)
        shown = bar(progress)
        return verify(
            self.artifact,
            graph,
            data,
            limit=limit,
            progress=lambda batches, n: shown(batches, n, "verify"),
        )

    def fit(self, target: str | os.PathLike[str] | Target | None = None) -> Fit:
        """Hold every layer against every resource of a target, its own by default.

        A network that was loaded does not know what it was compiled from: its integers
        are held against it, as they lie on its own target.
        """
        network = self.artifact.network
        if self.graph is None:
            if target is not None:
                goal = network.goal
                network = retarget(network.graph, _target(target), goal=goal)
            return fit_compiled(network)
        return fit(self.graph, _target(target or self.artifact.network.target))

    def save(self, path: AnyPath) -> None:
        """Write the network and its calibration, ``.snn``; ``load`` reads it."""
        if Path(path).suffix != ".snn":
            raise ModelError(f"{path}: a compiled network ends in .snn; rename it")
        write_artifact(self.artifact, Path(path))

    def to_nir(self, path: AnyPath, reader: str | None = None) -> tuple[str, ...]:
        """Write the chip's integers as a float graph, ``.nir``.

        Parameters
        ----------
        path : path
        reader : {"norse", "sinabs", "snntorch", "spikingjelly"}, optional
            The tool that will read it: the file is as that one means it, or refused.

        Returns
        -------
        tuple of str
            How that tool, or each of them, reads the file.

        Raises
        ------
        ModelError
            If NIR cannot say what a layer computes, or the tool computes otherwise.
        """
        path = Path(path)
        if path.suffix != ".nir":
            raise ModelError(f"{path}: a NIR graph ends in .nir; rename it")
        return write_integers(self.artifact.network.graph, path, reader)

    def to_c(
        self,
        folder: AnyPath,
        x: Any = None,
        *,
        flash: int | None = None,
        ram: int | None = None,
    ) -> Sizes:
        """Write the network with its cutoff as C for any processor; see ``export_c``.

        Parameters
        ----------
        folder : path
            Made if it is missing.
        x : array, tensor, data set, loader or path, optional
            Whose first inputs the C is checked with; see ``profile``.
        flash, ram : int, optional
            Bytes that the processor has.
        """
        own = options_of(Network.to_c)
        check_options("to_c", {"flash": flash, "ram": ram}, own, ModelError)
        data = None if x is None else as_data(x, None, self.artifact.network.graph)
        return export_c(self.artifact, Path(folder), data=data, flash=flash, ram=ram)


def compile(
    model: Any,
    target: str | os.PathLike[str] | Target = "loihi-sim",
    *,
    one_pass: bool = False,
    strict: bool = False,
    optimize: str | None = None,
    **options: Any,
) -> Network:
    """Return a trained network in the integers of a chip.

    Parameters
    ----------
    model : module, graph or path
        A ``torch.nn.Module``; a graph of NIR or ONNX; the file of a model.
    target : str, path or Target
        The name of a target, or a TOML file that describes a chip.
    one_pass : bool
        Fold all timesteps into one, with graded spikes, if the network allows it.
    strict : bool
        Refuse every step that loses something.
    optimize : {"energy", "latency", "cores"}, optional
        What the mapping is to save.
    **options
        For a module, those of ``save``: ``input_shape`` and ``timesteps`` at least.
        For other models, those of ``load_model``.

    Examples
    --------
    >>> import snn_deploy as sd, torch
    >>> from snn_deploy.nn.neurons import Qcfs
    >>> layers = torch.nn.Linear(4, 2), Qcfs(levels=8, threshold=1.0)
    >>> module = torch.nn.Sequential(*layers)
    >>> net = sd.compile(module, input_shape=(4,), timesteps=8)
    >>> net.artifact.network.graph.readout.size
    2
    """
    given = {"one_pass": one_pass, "strict": strict, "optimize": optimize}
    check_options("compile", given, options_of(compile), ModelError)
    graph = graph_of(model, options, options_of(compile))
    network = compile_model(
        graph,
        _target(target),
        one_pass=one_pass,
        is_strict=strict,
        optimize=optimize,
    )
    return Network(pack(network), graph)


def load(path: AnyPath) -> Network:
    """Return the compiled network in an ``.snn`` file.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, or of another version.
    """
    return Network(read_artifact(Path(path)))


def reference_model(name: str) -> Path:
    """Return the file of a trained network that comes with snn-deploy.

    Parameters
    ----------
    name : str
        Such as ``"mnist_lif"``; README lists them.
    """
    folder = packaged_folder("models")
    names = sorted(path.parent.name for path in folder.glob("*/model.pt"))
    if name not in names:
        raise ModelError(f"no trained network {name!r}; choose from {', '.join(names)}")
    return folder / name / "model.pt"


def target_file(name: str) -> Path:
    """Return the TOML file of a target that comes with snn-deploy, to start from."""
    names = target_names()
    if name not in names:
        raise TargetError(f"no target {name!r}; choose from {', '.join(names)}")
    return packaged_folder("targets") / f"{name}.toml"


def _target(target: str | os.PathLike[str] | Target) -> Target:
    return target if isinstance(target, Target) else read_target(target)
