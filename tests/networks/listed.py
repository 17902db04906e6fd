"""What a listed network is, and how its authors run it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from torch import nn

from snn_deploy.arrays import Shape

T = 20  # timesteps, where an author's number does not matter


class Form(Enum):
    """How a forward takes its inputs, and over how many timesteps."""

    STEP = "one timestep; neurons keep their states"
    STATES = "one timestep; states are given and returned"
    STILL = "an image; forward makes all timesteps of it"
    TIME_FIRST = "(time, batch, ...)"
    TIME_SECOND = "(batch, time, ...)"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One network of the list: rebuilt by structure, narrower than the original."""

    title: str
    source: str  # where the structure is from
    build: Callable[[], nn.Module]
    form: Form
    shape: Shape  # of one input, without batch and time
    encoding: str | None = None  # what forward does not say
    functional: str | None = None
    is_slow: bool = False  # of full width, as shipped


class Catalogue(list[Listed]):
    """The networks of one source, in the order of the list."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source

    def __call__(
        self,
        title: str,
        form: Form,
        shape: Shape,
        *,
        source: str = "",
        encoding: str | None = None,
        functional: str | None = None,
        is_slow: bool = False,
    ) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
        """Return what adds the network that a function builds."""

        def add(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
            self.append(
                Listed(
                    title=title,
                    source=source or self.source,
                    build=build,
                    form=form,
                    shape=shape,
                    encoding=encoding,
                    functional=functional,
                    is_slow=is_slow,
                )
            )
            return build

        return add
