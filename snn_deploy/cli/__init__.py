"""The command line: parse, call, print.

Heavy packages are imported inside the commands, so that ``--help`` answers at once.
"""

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Any

from snn_deploy.cli import (
    calibrate,
    compile,
    convert,
    data,
    demo,
    diff,
    doctor,
    export_c,
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
from snn_deploy.cli.console import json_alone, readable
from snn_deploy.errors import SnnDeployError
from snn_deploy.version import __version__

# what they are for, and an example of each
GROUPS: dict[str, dict[ModuleType, str]] = {
    "first": {
        demo: "demo -o demo/",
        doctor: "doctor",
    },
    "a network on a chip": {
        fit: "fit model.pt --target loihi1",
        compile: "compile model.pt",
        calibrate: "calibrate model.snn --data calib.npz --budget 1%",
        profile: "profile model.snn --data test.npz -o profile/",
        run: "run model.snn --data test.npz --index 7",
        serve: "serve model.snn --data folder/",
    },
    "what became of it": {
        verify: "verify model.snn --against model.pt --data test.npz",
        inspect: "inspect model.snn --map map.svg",
        sweep: "sweep sweep.toml",
        diff: "diff before/ after/",
    },
    "models, data, chips": {
        train: "train recipe.toml -o trained/",
        data: "data mnist5k -o data/",
        convert: "convert model.pt model.nir",
        export_c: "export-c model.snn -o out/",
        targets: "targets loihi-sim --costs",
    },
}
COMMANDS = tuple(command for group in GROUPS.values() for command in group)
WRONG_PATH = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
PACKAGE = Path(__file__).parents[1]
INTERRUPTED = 130  # what shells give for Ctrl-C
LONGEST_REPORT = 300  # characters of an unforeseen error
DEBUG = "show the traceback of an error that is a fault of snn-deploy"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 when done, 1 for an error of the user's files.

    A wrong command line exits with status 2.
    """
    _prepare_streams()
    options = argparse.Namespace(debug=False)
    try:
        options = _parser().parse_args(arguments)
        given = sys.argv[1:] if arguments is None else arguments
        options.as_given = shlex.join(["snn-deploy", *given])
        with json_alone(options):
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
    except Exception as error:  # not raised on purpose: a fault of this program
        if options.debug:
            raise
        return _fail(_reported(error))
    return 0


def _prepare_streams() -> None:
    """Give a closed stream, as of a daemon, a place; print what can be printed.

    A file that is opened would take the number of a closed stream, and its output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _reported(error: Exception) -> str:
    """Return one line about an unforeseen error, and what to do."""
    if isinstance(error, MemoryError):
        return (
            "the memory does not suffice; give it fewer inputs, or a machine with more"
        )
    frames = traceback.extract_tb(error.__traceback__)
    frame = next(f for f in reversed(frames) if PACKAGE in Path(f.filename).parents)
    place = f"{Path(frame.filename).relative_to(PACKAGE)}, line {frame.lineno}"
    what = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REPORT]
    return (
        f"a fault of snn-deploy {__version__} ({what}; {place}); please report it with "
        "the command line and, if you may, the files; --debug shows where it comes from"
    )


def _told(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    where = error.filename or "standard output"
    if isinstance(error, FileExistsError):  # of mkdir
        return f"{where}: is a file; give a folder"
    is_wrong_path = isinstance(error, WRONG_PATH)
    advice = "check the path" if is_wrong_path else "check space and permissions"
    return f"{where}: {what}; {advice}"


def _fail(message: str) -> int:
    print(f"error: {readable(message)}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snn-deploy",
        usage="snn-deploy COMMAND ...",
        description="Compile a trained spiking network for a Loihi-style chip, run it, "
        "stop it early, and price every input.",
    )
    version = f"snn-deploy {__version__}"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument("--debug", action="store_true", help=DEBUG)
    parser.set_defaults(call=lambda options: parser.print_help())
    commands = parser.add_subparsers(
        metavar="COMMAND",
        parser_class=_Command,
        prog="snn-deploy",
        help=argparse.SUPPRESS,
    )
    for command in COMMANDS:
        command.add_to(commands)
    for command_parser in commands.choices.values():
        command_parser.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG
        )
    helps = {action.dest: action.help for action in commands._choices_actions}
    parser.epilog = "\n".join(_sorted(helps))
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def name_of(command: ModuleType) -> str:
    """Return what a command is called."""
    return command.__name__.rpartition(".")[2].replace("_", "-")


def _sorted(helps: dict[str, str | None]) -> Iterator[str]:
    """Yield the commands in groups, each with what it does and an example."""
    for title, group in GROUPS.items():
        yield f"{title}:"
        for command, example in group.items():
            name = name_of(command)
            yield f"  {name:10} {helps.get(name)}"
            yield f"  {'':10}   snn-deploy {example}"
        yield ""
    yield "snn-deploy COMMAND --help tells a command's options"


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
