"""The command line: parse, call, print.

Heavy packages are imported inside the commands, so that ``--help`` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from snn_deploy import __version__
from snn_deploy.cli import (
    calibrate,
    compile,
    convert,
    data,
    demo,
    diff,
    doctor,
    fit,
    inspect,
    profile,
    run,
    serve,
    sweep,
    targets,
    train,
    verify,
)
from snn_deploy.errors import SnnDeployError

COMMANDS = (
    fit, compile, convert, calibrate, run, serve, profile, sweep, diff, verify, inspect,
    targets, data, train, demo, doctor,
)  # fmt: skip
WRONG_PATH = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
INTERRUPTED = 130  # what shells give for Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 when done, 1 for an error of the user's files.

    A wrong command line exits with status 2.
    """
    options = _parser().parse_args(arguments)
    try:
        options.call(options)
        sys.stdout.flush()
    except SnnDeployError as error:
        return _fail(str(error))
    except BrokenPipeError:  # the reader of a pipe, like head, has seen enough
        sys.stderr.close()
    except OSError as error:
        return _fail(_told(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _told(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    where = error.filename or "standard output"
    if isinstance(error, FileExistsError):  # of mkdir
        return f"{where}: is a file; give a folder"
    is_wrong_path = isinstance(error, WRONG_PATH)
    advice = "check the path" if is_wrong_path else "check space and permissions"
    return f"{where}: {what}; {advice}"


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snn-deploy",
        description="Compile a trained spiking network for a Loihi-style chip, run it, "
        "stop it early, and price every input.",
    )
    version = f"snn-deploy {__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_Command
    )
    for command in COMMANDS:
        command.add_to(commands)
    return parser


class _Command(argparse.ArgumentParser):
    """The parser of one command, which tells its own usage for what it does not know.

    argparse leaves that to the parser of all commands.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return options and nothing that is unknown."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            close = get_close_matches(name, self._option_string_actions, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return options, unknown
