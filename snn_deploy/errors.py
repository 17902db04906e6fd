"""The exceptions a user can meet, one per kind of remedy.

A message reads ``where: what is wrong, with the number found and the number allowed;
what to do``.
"""


class SnnDeployError(Exception):
    """Any error that snn-deploy raises on purpose."""


class ModelError(SnnDeployError):
    """The trained model cannot be read as it is: export it differently."""


class PassError(SnnDeployError):
    """The network cannot be transformed as it is: restructure it."""


class TargetError(SnnDeployError):
    """The target file is wrong or unknown: mend it or choose another."""


class FitError(SnnDeployError):
    """The network does not fit the chip: shrink it or take a bigger chip."""


class BackendError(SnnDeployError):
    """The machine cannot be used: install it or choose another."""


class ArtifactError(SnnDeployError):
    """The ``.snn`` file cannot be trusted: compile again."""


class DataError(SnnDeployError):
    """The input data cannot be used: mend the data file."""


class CalibrationError(SnnDeployError):
    """The cutoff's threshold is missing or belongs elsewhere: calibrate again."""


class TrainingError(SnnDeployError):
    """The training cannot go on: change the recipe."""
