"""Compile a trained spiking network for a Loihi-style chip, run it, and price it."""

from importlib import import_module
from typing import TYPE_CHECKING

from snn_deploy.version import __version__

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact as Artifact
    from snn_deploy.artifact import pack as pack
    from snn_deploy.artifact import read_artifact as read_artifact
    from snn_deploy.artifact import write_artifact as write_artifact
    from snn_deploy.backends.registry import open_backend as open_backend
    from snn_deploy.backends.results import RunResult as RunResult
    from snn_deploy.chip.target import Target as Target
    from snn_deploy.chip.target_file import read_target as read_target
    from snn_deploy.compiler.fit import Fit as Fit
    from snn_deploy.compiler.pipeline import compile_model as compile_model
    from snn_deploy.compiler.twin import one_pass_twin as one_pass_twin
    from snn_deploy.cutoff.calibrate import calibrate as calibrate
    from snn_deploy.cutoff.decision import never as never
    from snn_deploy.cutoff.evidence import Evidence as Evidence
    from snn_deploy.cutoff.monitor import collect_scores as collect_scores
    from snn_deploy.cutoff.monitor import run_inputs as run_inputs
    from snn_deploy.cutoff.rules.fixed import fixed as fixed
    from snn_deploy.cutoff.rules.retry import retry as retry
    from snn_deploy.cutoff.rules.risk import risk as risk
    from snn_deploy.cutoff.rules.rule import Calibration as Calibration
    from snn_deploy.cutoff.rules.rule import Settings as Settings
    from snn_deploy.cutoff.rules.topk import topk as topk
    from snn_deploy.data.data import Data as Data
    from snn_deploy.data.data import read_data as read_data
    from snn_deploy.errors import ArtifactError as ArtifactError
    from snn_deploy.errors import BackendError as BackendError
    from snn_deploy.errors import CalibrationError as CalibrationError
    from snn_deploy.errors import DataError as DataError
    from snn_deploy.errors import FitError as FitError
    from snn_deploy.errors import MissingAbilityError as MissingAbilityError
    from snn_deploy.errors import MissingPackageError as MissingPackageError
    from snn_deploy.errors import ModelError as ModelError
    from snn_deploy.errors import PassError as PassError
    from snn_deploy.errors import SnnDeployError as SnnDeployError
    from snn_deploy.errors import TargetError as TargetError
    from snn_deploy.errors import TrainingError as TrainingError
    from snn_deploy.front.network import Answer as Answer
    from snn_deploy.front.network import Network as Network
    from snn_deploy.front.network import compile as compile
    from snn_deploy.front.network import load as load
    from snn_deploy.front.network import reference_model as reference_model
    from snn_deploy.front.network import target_file as target_file
    from snn_deploy.front.profiled import Profiled as Profiled
    from snn_deploy.importers.registry import load_model as load_model
    from snn_deploy.importers.torch.file import save as save
    from snn_deploy.ir.graph import Graph as Graph
    from snn_deploy.ir.mapped import MappedNetwork as MappedNetwork
    from snn_deploy.profile.profile import Profile as Profile
    from snn_deploy.profile.profile import profile_inputs as profile_inputs
    from snn_deploy.profile.rows import Rows as Rows
    from snn_deploy.report.profile_files import write_profile as write_profile
    from snn_deploy.verify.result import Verification as Verification

_HOMES = {
    "Answer": "front.network",
    "Artifact": "artifact",
    "ArtifactError": "errors",
    "BackendError": "errors",
    "Calibration": "cutoff.rules.rule",
    "CalibrationError": "errors",
    "Data": "data.data",
    "DataError": "errors",
    "Evidence": "cutoff.evidence",
    "Fit": "compiler.fit",
    "FitError": "errors",
    "Graph": "ir.graph",
    "MappedNetwork": "ir.mapped",
    "MissingAbilityError": "errors",
    "MissingPackageError": "errors",
    "ModelError": "errors",
    "Network": "front.network",
    "PassError": "errors",
    "Profile": "profile.profile",
    "Profiled": "front.profiled",
    "Rows": "profile.rows",
    "RunResult": "backends.results",
    "Settings": "cutoff.rules.rule",
    "SnnDeployError": "errors",
    "Target": "chip.target",
    "TargetError": "errors",
    "TrainingError": "errors",
    "Verification": "verify.result",
    "calibrate": "cutoff.calibrate",
    "collect_scores": "cutoff.monitor",
    "compile": "front.network",
    "compile_model": "compiler.pipeline",
    "fixed": "cutoff.rules.fixed",
    "load": "front.network",
    "load_model": "importers.registry",
    "never": "cutoff.decision",
    "one_pass_twin": "compiler.twin",
    "open_backend": "backends.registry",
    "pack": "artifact",
    "profile_inputs": "profile.profile",
    "read_artifact": "artifact",
    "read_data": "data.data",
    "read_target": "chip.target_file",
    "reference_model": "front.network",
    "retry": "cutoff.rules.retry",
    "risk": "cutoff.rules.risk",
    "run_inputs": "cutoff.monitor",
    "save": "importers.torch.file",
    "target_file": "front.network",
    "topk": "cutoff.rules.topk",
    "write_artifact": "artifact",
    "write_profile": "report.profile_files",
}
__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: torch and others are slow."""
    if name not in _HOMES:
        raise AttributeError(f"module 'snn_deploy' has no attribute {name!r}")
    return getattr(import_module(f"snn_deploy.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
