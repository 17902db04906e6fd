"""What inputs gave and cost, for a notebook: tables, pictures, files."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.backends.registry import open_backend
from snn_deploy.data.data import Data
from snn_deploy.errors import DataError
from snn_deploy.files.writing import text_writer, write_whole
from snn_deploy.profile.closeups import look_closer
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.rivals import in_words
from snn_deploy.profile.rows import Rows
from snn_deploy.profile.schedules import labels_doubted
from snn_deploy.profile.summary import summarize
from snn_deploy.profile.tables import table_of
from snn_deploy.report.colors import LIGHT
from snn_deploy.report.html import Origin, render
from snn_deploy.report.picture_files import write_pictures
from snn_deploy.report.pictures import PICTURES, as_figure, lacks
from snn_deploy.report.profile_files import Additions, write_profile
from snn_deploy.report.units import number, percent, with_prefix
from snn_deploy.showing import Table, as_html, as_text

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from matplotlib.figure import Figure

OF_LABELS = ("accuracy", "classes", "front")


class Profiled:
    """A profile, and what people do with one.

    Attributes
    ----------
    profile : Profile
        With the rows of every schedule.
    data : Data
        Its inputs.
    """

    def __init__(self, profile: Profile, data: Data) -> None:
        self.profile = profile
        self.data = data

    def __repr__(self) -> str:
        """Return what each schedule gives and costs, and whether the cutoff pays."""
        return as_text(self._table())

    def _repr_html_(self) -> str:
        return as_html(self._table())

    @property
    def rows(self) -> Rows:
        """One row for each input, with the cutoff if there is one."""
        return self.profile.rows

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Means, losses and savings, as ``summary.json`` holds them."""
        return summarize(self.profile)

    def to_arrow(self) -> "pyarrow.Table":
        """Return the rows as an Arrow table; unknown values are null."""
        table: pyarrow.Table = table_of(self.rows)
        return table

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the rows as a data frame, which needs pandas."""
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        return frame

    def plot(self, what: str = "accuracy") -> "Figure":
        """Return a figure of matplotlib.

        Parameters
        ----------
        what : str
            ``accuracy`` against timesteps, or the ``error`` of values; ``timesteps``:
            when inputs are decided; the ``parts`` of the energy; its ``spread`` over
            the inputs; accuracy of ``classes``; ``activity`` by layer; the ``front`` of
            accuracy against energy.
        """
        if what not in PICTURES:
            raise DataError(f"no plot {what!r}; choose from {', '.join(PICTURES)}")
        is_unlabelled = (
            not len(self.profile.accuracy_at) and not self.profile.has_errors
        )
        if what in OF_LABELS and is_unlabelled:
            raise DataError("the inputs have no labels, so no accuracy; give y")
        if what != "timesteps" and (reason := lacks(what, self.profile)):
            raise DataError(f"no {what} to draw: {reason.rstrip('.')}")
        return as_figure(what, self.profile, LIGHT)

    def report(
        self,
        path: str | os.PathLike[str] = "report.html",
        *,
        pictures: str | os.PathLike[str] | None = None,
    ) -> Path:
        """Write the report as one page, with all its pictures; return its path.

        Parameters
        ----------
        path : str or path
        pictures : str or path, optional
            A folder for every figure and table of the page as SVG, PNG and CSV files.
        """
        path = Path(path)
        page = render(self.profile, self.summary, None, self._closeups, Origin.now())
        write_whole(path, text_writer(page))
        if pictures is not None:
            write_pictures(page, self.profile, Path(pictures))
        return path

    def save(self, folder: str | os.PathLike[str]) -> list[str]:
        """Write rows, summary and report into a folder; return the files' names."""
        beside = Additions(closeups=self._closeups)
        return write_profile(self.profile, Path(folder), beside)

    @cached_property
    def _closeups(self) -> Any:
        return look_closer(self.profile, self.data, open_backend("cpu"))

    def _table(self) -> Table:
        found = self.summary
        rows = [
            (
                schedule["text"],
                _goodness(schedule),
                f"{schedule['mean_timesteps']:.2f}",
                with_prefix(schedule["mean_energy_j"], "J"),
                with_prefix(schedule["mean_latency_s"], "s"),
            )
            for schedule in found["schedules"].values()
        ]
        return Table(
            title=f"{found['network']} on {found['target']}, "
            f"{found['n_inputs']:,} inputs",
            columns=(
                "schedule",
                "mean squared error" if self.profile.has_errors else "accuracy",
                "timesteps",
                "energy, up to board",
                "latency",
            ),
            rows=rows,
            notes=(
                "answers and timesteps measured; energy and latency modelled",
                *filter(None, [in_words(found["best_rivals"])]),
                *labels_doubted(self.profile),
            ),
        )


def _goodness(means: dict[str, Any]) -> str:
    """Return how right answers are: the error of values, else the accuracy."""
    error = means["mean_squared_error"]
    return percent(means["accuracy"]) if error is None else number(error)
