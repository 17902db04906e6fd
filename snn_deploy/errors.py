"""The exceptions a user can meet, one per kind of remedy.

A message reads ``where: what is wrong, with the number found and the number allowed;
what to do``.
"""

from dataclasses import dataclass


class SnnDeployError(Exception):
    """Any error that snn-deploy raises on purpose."""

    faults: tuple[str, ...] = ()  # all that is wrong, where the message has the first


class ModelError(SnnDeployError):
    """The trained model cannot be read as it is: export it differently."""


class PassError(SnnDeployError):
    """The network cannot be transformed as it is: restructure it."""


class TargetError(SnnDeployError):
    """The target file is wrong or unknown: mend it or choose another."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One reason why a network does not fit, and what would make it fit."""

    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.advice}"


class FitError(SnnDeployError):
    """The network does not fit the chip: shrink it or take a bigger chip."""


class MissingAbilityError(FitError):
    """What a target cannot do; ``problem`` says it in parts."""

    def __init__(self, *, where: str, what: str, advice: str) -> None:
        self.problem = Problem(where=where, what=what, advice=advice)
        super().__init__(str(self.problem))


class BackendError(SnnDeployError):
    """The machine cannot be used: install it or choose another."""


class MissingPackageError(SnnDeployError):
    """A package that only some work needs is missing: install its extra."""


class ArtifactError(SnnDeployError):
    """The ``.snn`` file cannot be trusted: compile again."""


class DataError(SnnDeployError):
    """The input data cannot be used: mend the data file."""


class CalibrationError(SnnDeployError):
    """The cutoff's threshold is missing or belongs elsewhere: calibrate again."""


class TrainingError(SnnDeployError):
    """The training cannot go on: change the recipe."""
