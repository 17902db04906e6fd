"""Norse uses deprecated parts of torch while it is imported."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import norse.torch  # noqa: F401
