"""Compile a trained spiking network for a Loihi-style chip, run it, and price it."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snn_deploy.artifact import pack as pack
    from snn_deploy.artifact import read_artifact as read_artifact
    from snn_deploy.artifact import write_artifact as write_artifact
    from snn_deploy.backends import open_backend as open_backend
    from snn_deploy.host.calibrate import calibrate as calibrate
    from snn_deploy.host.cutoff import never as never
    from snn_deploy.host.evidence import Evidence as Evidence
    from snn_deploy.host.monitor import collect_scores as collect_scores
    from snn_deploy.host.monitor import run_inputs as run_inputs
    from snn_deploy.host.rules.fixed import fixed as fixed
    from snn_deploy.host.rules.retry import retry as retry
    from snn_deploy.host.rules.risk import risk as risk
    from snn_deploy.host.rules.rule import Settings as Settings
    from snn_deploy.host.rules.topk import topk as topk
    from snn_deploy.importers import load_model as load_model
    from snn_deploy.importers.model_file import save as save
    from snn_deploy.inputs.data import Data as Data
    from snn_deploy.inputs.data import read_data as read_data
    from snn_deploy.pipeline import compile_model as compile_model
    from snn_deploy.profile.profile import profile_inputs as profile_inputs
    from snn_deploy.report.profile_files import write_profile as write_profile
    from snn_deploy.target_file import read_target as read_target

__version__ = "0.1.0"

_HOMES = {
    "Data": "inputs.data",
    "Evidence": "host.evidence",
    "Settings": "host.rules.rule",
    "calibrate": "host.calibrate",
    "collect_scores": "host.monitor",
    "compile_model": "pipeline",
    "fixed": "host.rules.fixed",
    "load_model": "importers",
    "never": "host.cutoff",
    "open_backend": "backends",
    "pack": "artifact",
    "profile_inputs": "profile.profile",
    "read_artifact": "artifact",
    "read_data": "inputs.data",
    "read_target": "target_file",
    "retry": "host.rules.retry",
    "risk": "host.rules.risk",
    "run_inputs": "host.monitor",
    "save": "importers.model_file",
    "topk": "host.rules.topk",
    "write_artifact": "artifact",
    "write_profile": "report.profile_files",
}
__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: torch and others are slow."""
    if name not in _HOMES:
        raise AttributeError(f"module 'snn_deploy' has no attribute {name!r}")
    return getattr(import_module(f"snn_deploy.{_HOMES[name]}"), name)
