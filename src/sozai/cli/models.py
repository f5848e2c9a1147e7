"""The options by which a person names a language model, shared by the commands that can ask one."""

from __future__ import annotations

from typing import Annotated

import typer

PANEL = "A language model"

Model = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=PANEL,
        help="One that may propose (code decides): openai:NAME, anthropic:NAME, small or script:FILE. Without it none "
        "is asked.",
    ),
]
Endpoint = Annotated[
    str | None, typer.Option(rich_help_panel=PANEL, help="Address of an OpenAI-compatible server for --model.")
]
