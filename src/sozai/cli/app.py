"""The commands of ``sozai``. Each stands in a module of its own that imports nothing heavy at its top."""

from __future__ import annotations

from typing import Annotated

import typer

from sozai import __version__
from sozai.cli import (
    ask,
    augment,
    check,
    cif,
    demo,
    design,
    extract,
    generate,
    info,
    library,
    mcp,
    prefer,
    screen,
    solve,
    systems,
    train,
)
from sozai.cli.frame import SozaiGroup, add_command

app = typer.Typer(
    cls=SozaiGroup,
    name="sozai",
    help=(
        "Generative AI for materials science that a person at the bench can trust.\n\n"
        "Nothing is generated that is not checked against what materials science knows, and every check is "
        "counted. All of it works offline, on a laptop."
    ),
    epilog=(
        "Every command has [bold]--help[/bold] with examples and [bold]--json[/bold] for programs. "
        "Exit code 0: done; 2: something to mend, told in one sentence; 3: judged, and it did not pass; "
        "130: stopped by Ctrl-C."
    ),
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sozai {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None and (text := context.get_help()):
        print(text)  # typer itself prints the help where rich is there, and returns nothing


app.add_typer(design.app, name="design")
app.add_typer(library.app, name="library")
add_command(app, ask.ask, *ask.EXAMPLES)
add_command(app, extract.extract, *extract.EXAMPLES)
app.add_typer(prefer.app, name="prefer")
add_command(app, solve.solve, *solve.EXAMPLES)
add_command(app, screen.screen, *screen.EXAMPLES)
add_command(app, check.check, *check.EXAMPLES)
add_command(app, cif.cif, *cif.EXAMPLES)
add_command(app, augment.augment, *augment.EXAMPLES)
add_command(app, generate.generate, *generate.EXAMPLES)
add_command(app, train.train, *train.EXAMPLES)
add_command(app, systems.systems, *systems.SYSTEMS_EXAMPLES)
add_command(app, systems.prove, *systems.PROVE_EXAMPLES)
add_command(app, mcp.mcp, *mcp.EXAMPLES)
add_command(app, demo.demo, *demo.EXAMPLES)
add_command(app, info.info, *info.EXAMPLES)
