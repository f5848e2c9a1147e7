"""``sozai mcp``: the tools of sozai for an assistant that speaks the Model Context Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "sozai mcp --root ~/materials",
    "sozai mcp --root ~/materials --http 8765",
    "claude mcp add sozai -- sozai mcp --root ~/materials",
)


def mcp(
    root: Annotated[
        Path, typer.Option(help="The only folder whose files the tools may read; results go into sozai-runs in it.")
    ],
    http: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Serve on http://127.0.0.1:PORT/mcp instead of standard input and output."),
    ] = None,
) -> None:
    """Serve sozai's verified tools to an assistant, by the Model Context Protocol.

    Checks of crystals, CIF files and tables, structures from rules, the funnel of new crystals, extraction from papers,
    equations with proof, and answers from your library. Results come with their verdicts. What takes long is begun, and
    asked for later.

    The tools ask no language model, open no connection, and read no file outside --root. Only this machine can
    connect.
    """
    from sozai.assistant.server import serve

    serve(root.expanduser(), http)
