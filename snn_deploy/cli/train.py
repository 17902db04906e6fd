"""``snn-deploy train``: train a network from its recipe."""

import argparse
from pathlib import Path
from typing import Any


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "train",
        help="train a network from a recipe",
        description="Train the network of a recipe; writes model.pt and card.md.",
    )
    parser.add_argument("recipe", type=Path, help="recipe.toml")
    parser.add_argument(
        "-o", "--output", type=Path, help="folder (default: that of the recipe)"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="FOLDER",
        help="where the files of the data set are, if it comes with no package",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="what trains (default: auto, a GPU if there is one)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last finished epoch (same machine, same weights)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another value for a key of the recipe, as in training.epochs=5",
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Train and write."""
    from snn_deploy.cli.console import out
    from snn_deploy.extras import require

    require("torch", "norse", purpose="training")
    from snn_deploy.training.train import train

    folder = options.output or options.recipe.parent
    model = train(
        options.recipe,
        folder,
        changes=options.set,
        data_dir=options.data_dir,
        resume=options.resume,
        device=options.device,
    )
    out(f"wrote {model}")
