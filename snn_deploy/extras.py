"""Packages that only some work needs, and the extra of pip that brings each."""

from importlib.util import find_spec

from snn_deploy.errors import MissingPackageError

EXTRAS = {"norse": "torch", "onnx": "onnx", "torch": "torch"}


def require(*packages: str, purpose: str) -> None:
    """Do nothing if packages are installed.

    Raises
    ------
    MissingPackageError
        If one is not; it names the extra of pip that brings it.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackageError(
                f"{purpose} needs {package}, which is not installed: pip install "
                f"'snn-deploy[{EXTRAS[package]}]'"
            )
