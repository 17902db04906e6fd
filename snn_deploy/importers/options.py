"""What the file of a model may leave out: a field for each option of the readers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snn_deploy.arrays import AnyArray, Shape
    from snn_deploy.ir.graph import Training
    from snn_deploy.ir.neurons import Reset


def _shown(kind: type, help: str, **shown: Any) -> dict[str, Any]:
    """Return what the command line says of a field.

    ``kind`` is what an argument is read as: a number over 0 (int), a shape (tuple), a
    file of inputs (Path), or what the type makes of it; a bool is a switch. ``flag`` is
    the option's name where it is not the field's.
    """
    return {"kind": kind, "help": help, **shown}


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadOptions:
    """What a reader is told beside the path; ``load_model`` says what each means."""

    timesteps: int | None = field(
        default=None,
        metadata=_shown(
            int, "timesteps per input (default: what the model was trained for)"
        ),
    )
    dt: float | None = field(
        default=None,
        metadata=_shown(
            float,
            "length of a timestep, if the file (NIR) does not say",
            metavar="SECONDS",
        ),
    )
    reset: "Reset | str | None" = field(
        default=None,
        metadata=_shown(
            str,
            "what a spike does to the voltage, if the file (NIR) does not say: set it "
            "to v_reset, or lower it by the threshold",
            choices=("hard", "soft"),
        ),
    )
    written_by: str | None = field(
        default=None,
        metadata=_shown(
            str,
            "the tool that wrote the file (NIR), where its neurons do what the file "
            "does not say: snnTorch's reset a timestep later, its default being to "
            "take the threshold off (--reset hard: reset_mechanism='zero')",
            flag="--from",
            choices=("snntorch",),
        ),
    )
    balance_on: "AnyArray | Mapping[str, AnyArray] | None" = field(
        default=None,
        metadata=_shown(
            Path,
            "training inputs x on which the thresholds of a conventional network "
            "(ONNX) are set; with labels y its accuracy is shown before and after",
            metavar="X.npz",
        ),
    )
    percentile: float | None = field(
        default=None,
        metadata=_shown(
            float,
            "of a ReLU's positive values that lie below its threshold (default: 99.9)",
        ),
    )
    builder: str | None = field(
        default=None,
        metadata=_shown(
            str,
            "imports and calls this function, which returns the module that the "
            "tensors of a bare state_dict (.pt) belong to",
            metavar="MODULE:FUNCTION",
        ),
    )
    trust_pickle: bool = field(
        default=False,
        metadata=_shown(bool, "unpickle a module from a .pt file: it can run any code"),
    )
    input_shape: "Shape | Mapping[str, Shape] | None" = field(
        default=None,
        metadata=_shown(
            tuple,
            "of one input of such a module; of several image=1,28,28/sound=64",
            metavar="C,H,W",
        ),
    )
    encoding: str | None = field(
        default=None,
        metadata=_shown(
            str,
            "of the input of such a module or of a .pt2 file (default: direct), or of "
            "a .nir or .net file that does not say (default: events; bias where the "
            "input layer of a .net file has neurons)",
            choices=("direct", "rate", "events", "bias"),
        ),
    )
    largest_count: int | None = field(
        default=None,
        metadata=_shown(
            int,
            "the most events of one timestep and position, where data are frames of "
            "counts (default: 1, or what the file says)",
            metavar="N",
        ),
    )
    input_range: "tuple[float, float] | None" = field(
        default=None,
        metadata=_shown(
            float,
            "from what to what the values of data reach (default: 0 1, or what the "
            "file says)",
            nargs=2,
            metavar=("LEAST", "MOST"),
        ),
    )

    def training(self, timesteps: int) -> "Training":
        """Return what a module is told of its training, ``timesteps`` otherwise."""
        from snn_deploy.ir.graph import Training
        from snn_deploy.ir.stimuli import Encoding

        training = Training(
            timesteps=self.timesteps or timesteps,
            encoding=Encoding(self.encoding or DEFAULT_ENCODING),
            largest_count=self.largest_count or 1,
        )
        if self.input_range is None:
            return training
        return training.ranged(self.input_range)


OPTIONS = fields(ReadOptions)
NO_OPTIONS = ReadOptions()
DEFAULT_ENCODING = "direct"
