"""``sozai cif``: crystal structures under rules, read, checked, built, or proposed by a language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sozai.cli import models
from sozai.cli.cif_view import render, sentence
from sozai.cli.frame import AsJson, emit, progress, resume_with

if TYPE_CHECKING:
    from rich.console import Console

    from sozai.assistant.structures.run import Judged
    from sozai.knowledge.crystals.structure.rules import StructureRules

EXAMPLES = (
    "sozai cif --check mine.cif",
    "sozai cif nasicon.yaml --check mine.cif",
    'sozai cif "SrTiO3, Pm-3m, Sr 1a, Ti 1b, O 3c; corner-sharing TiO6 octahedra" --build --out sto/',
    'sozai cif "NaZr2(PO4)3, R-3c" --propose --model openai:qwen3 --endpoint http://localhost:11434/v1 --out run/',
    'sozai cif --text "a layered lithium cobalt oxide"',
)
FAILED = 3
"""Exit code when something that was judged did not pass."""
_WHAT = "What to do"
_BUILD = "Building"


def cif(
    rules: Annotated[str, typer.Argument(metavar="RULES", help="A rule file (YAML, JSON) or plain words.")] = "",
    check: Annotated[
        list[Path] | None, typer.Option(rich_help_panel=_WHAT, help="Judge this CIF; may be repeated.")
    ] = None,
    build: Annotated[
        bool, typer.Option("--build", rich_help_panel=_WHAT, help="Build structures from the rules.")
    ] = False,
    propose: Annotated[
        bool, typer.Option("--propose", rich_help_panel=_WHAT, help="Let a model propose; code judges.")
    ] = False,
    text: Annotated[str, typer.Option(rich_help_panel=_WHAT, help="Words about a kind of crystal: conditions.")] = "",
    out: Annotated[Path | None, typer.Option(help="Run folder.")] = None,
    starts: Annotated[int | None, typer.Option(rich_help_panel=_BUILD, help="Random starts in all.")] = None,
    relax: Annotated[bool, typer.Option(rich_help_panel=_BUILD, help="Relax the best with a potential.")] = True,
    potential: Annotated[str, typer.Option(rich_help_panel=_BUILD, help="Potential for relaxation.")] = "chgnet",
    minutes: Annotated[float | None, typer.Option(rich_help_panel=_BUILD, help="Time limit.")] = None,
    model: models.Model = None,
    endpoint: models.Endpoint = None,
    rounds: Annotated[int, typer.Option(min=1, rich_help_panel=models.PANEL, help="Answers at most.")] = 4,
    count: Annotated[int, typer.Option(min=1, help="With --text and --out: crystals to draw.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same result.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Crystal structures under rules: a language model may propose, only code decides.

    RULES say what a structure shall be: formula, space group, sites, polyhedra and how they share, charges, density,
    distances. Alone they are read, shown, and refused when no crystal can obey them.

    [bold]--check[/bold] audits a CIF (symmetry operators, special positions, occupancies, duplicates, formula, charge
    ...) and judges its structure by the rules. [bold]--build[/bold] makes structures of the rules without any model;
    one that was stopped goes on when the same command is given again.
    [bold]--propose[/bold] lets a model write rules or a CIF and sends it the verdicts; it goes on in the same way, and
    asks nothing again. [bold]--text[/bold] turns words about a kind of crystal into conditions for
    [bold]sozai generate[/bold].

    Exit code 3: something was judged and did not pass, or could not be decided.
    """
    from sozai.errors import UserError

    tasks = [
        name for name, on in (("--check", check), ("--build", build), ("--propose", propose), ("--text", text)) if on
    ]
    if len(tasks) > 1:
        raise UserError(f"{' and '.join(tasks)} are given together", "sozai cif", "give one of them")
    if not rules and tasks not in (["--check"], ["--text"]):
        raise UserError("no rules are given", "sozai cif", "name a rule file or write the rules in quotes")
    if rules and text:
        raise UserError("--text takes words of its own", "RULES", "leave the rules out, or use --build")
    if model and not propose:
        raise UserError("a model is only asked under --propose", "--model", "add --propose or leave it out")
    if propose and not model:
        raise UserError(
            "no model is named", "--propose", "add --model openai:NAME, anthropic:NAME, small or script:FILE"
        )
    if text:
        _text(text, out, count, seed, as_json)
        return
    if model:  # only with --propose, see above
        passed = _propose(rules, model, endpoint, out, rounds, starts, relax, potential, minutes, seed, as_json)
    elif build:
        passed = _build(rules, out, starts, relax, potential, minutes, seed, as_json)
    elif check:
        passed = _check(rules, check, out, as_json)
    else:
        passed = _read(rules, as_json)
    if not passed:
        raise typer.Exit(FAILED)


def _read(source: str, as_json: bool) -> bool:
    from sozai.assistant.structures.run import read_as
    from sozai.knowledge.crystals.structure.possible import refuse_impossible
    from sozai.knowledge.crystals.structure.read import rules_from

    rules = rules_from(source)
    refuse_impossible(rules)
    read = read_as(rules)

    def show(console: Console) -> None:
        console.print("[bold]Read as[/bold]")
        console.print(read["text"], markup=False)
        console.print("No reason was found why no crystal could obey these rules. Go on with --build or --check FILE.")

    emit(read, as_json, show)
    return True


def _check(source: str, paths: Sequence[Path], out: Path | None, as_json: bool) -> bool:
    from sozai.assistant.structures.run import check_file, read_as
    from sozai.knowledge.crystals.structure.possible import refuse_impossible
    from sozai.knowledge.crystals.structure.read import rules_from

    rules: StructureRules | None = rules_from(source) if source else None
    if rules is not None:
        refuse_impossible(rules)
    judged = [item for path in paths for item in check_file(path, rules)]
    result = _result("check", source, judged, read_as(rules) if rules is not None else None)
    result["title"] = ", ".join(path.name for path in paths[:3])
    if out is not None:
        _write(out, result, judged, {"rules": source, "check": [str(path) for path in paths]}, data=paths)
    emit(result, as_json, lambda console: render(result, judged, out, console))
    return bool(result["passed"])


def _build(
    source: str, out: Path | None, starts: int | None, relax: bool, potential: str, minutes: float | None, seed: int,
    as_json: bool,
) -> bool:  # fmt: skip
    from sozai.assistant.structures.build.journal import FILE_NAME
    from sozai.assistant.structures.run import build_run, read_as
    from sozai.files import output_folder
    from sozai.knowledge.crystals.structure.possible import refuse_impossible
    from sozai.knowledge.crystals.structure.read import rules_from
    from sozai.trust.manifest import Manifest, command_line

    rules = rules_from(source)
    refuse_impossible(rules)
    folder = output_folder(out or Path("cif-run"))
    settings = {"rules": source, "starts": starts, "relax": relax, "potential": potential, "minutes": minutes}
    resume_with(command_line())
    going_on = (folder / FILE_NAME).exists()
    with Manifest(folder, settings=settings, seeds={"build": seed}, resume=going_on) as manifest:
        with progress("Building", as_json) as on_progress:
            judged = build_run(
                rules, folder, starts=starts, relax=relax, potential=potential, minutes=minutes, seed=seed,
                on_progress=on_progress,
            )  # fmt: skip
        result = _result("build", source, judged, read_as(rules))
        result["passed"] = bool(judged) and judged[0].passed  # the first is the best; the others are for comparison
        result["cut_short"] = str(judged[0].facts["cut_short"]) if judged else ""
        result["verdict"] = sentence(result, judged)
        result["title"] = f"{rules.formula} from rules"
        _write(folder, result, judged, settings, manifest=manifest)
    emit(result, as_json, lambda console: render(result, judged, folder, console))
    return bool(result["passed"])


def _propose(
    source: str, model: str, endpoint: str | None, out: Path | None, rounds: int, starts: int | None, relax: bool,
    potential: str, minutes: float | None, seed: int, as_json: bool,
) -> bool:  # fmt: skip
    from sozai.assistant.models import KeptReplies, connect
    from sozai.assistant.models.kept import FILE_NAME
    from sozai.assistant.structures.propose_run import propose_run
    from sozai.assistant.structures.run import read_as
    from sozai.errors import UserError
    from sozai.files import output_folder
    from sozai.knowledge.crystals.structure.read import rules_from
    from sozai.trust.manifest import Manifest, command_line

    rules, problem = None, ""
    try:
        rules = rules_from(source)
    except UserError as error:
        if Path(source).suffix in (".yaml", ".yml", ".json"):
            raise
        problem = error.sentence()
    asked = connect(model, endpoint)
    folder = output_folder(out or Path("cif-run"))
    same = {"rules": source, "model": model, "endpoint": endpoint, "starts": starts, "seed": seed}
    # A rule file may have changed since; the other settings may differ, for more rounds or more time.
    kept = KeptReplies(folder / FILE_NAME, {**same, "read as": read_as(rules)["rules"] if rules is not None else None})
    asked.keep(kept)
    settings = {"rules": source, "model": model, "endpoint": endpoint, "rounds": rounds, "relax": relax,
                "potential": potential, "starts": starts, "minutes": minutes}  # fmt: skip
    resume_with(command_line())
    with Manifest(folder, settings=settings, seeds={"propose": seed}, resume=kept.count > 0) as manifest:
        kept.tell_ledger()
        with progress("Proposing", as_json) as on_progress:
            judged, transcript = propose_run(
                asked, source, rules, folder, rounds=rounds, starts=starts, relax=relax, potential=potential,
                minutes=minutes, seed=seed, kept=kept, on_progress=on_progress,
            )  # fmt: skip
        result = _result("propose", source, judged, read_as(rules) if rules is not None else None)
        result["transcript"], result["not_read"] = transcript, problem
        result["cut_short"] = transcript["cut_short"]
        result["passed"] = bool(judged) and judged[0].passed
        result["verdict"] = sentence(result, judged)
        result["title"] = "A structure proposed by a language model"
        _write(folder, result, judged, settings, manifest=manifest)
    kept.close(finished=not transcript["cut_short"])
    emit(result, as_json, lambda console: render(result, judged, folder, console))
    return bool(result["passed"])


def _text(words: str, out: Path | None, count: int, seed: int, as_json: bool) -> None:
    import shlex

    from sozai.assistant.structures.run import generate_from_text
    from sozai.assistant.structures.text_wishes import wish_of_text
    from sozai.files import output_folder
    from sozai.trust.manifest import Manifest

    found = wish_of_text(words)
    command = shlex.join(["sozai", "generate", "wyckoff-gpt", *found.options(), "--count", str(count), "--out", "run/"])
    result: dict[str, Any] = {
        "text": words, "conditions": found.conditions, "reasons": found.reasons, "ignored": found.ignored,
        "command": command, "files": [],
    }  # fmt: skip
    if out is not None:
        with Manifest(output_folder(out), settings={"text": words, "conditions": found.conditions, "count": count},
                      seeds={"generator": seed}), progress("Generating", as_json) as on_progress:  # fmt: skip
            result["files"] = [str(p) for p in generate_from_text(found.conditions, out, count, seed, on_progress)]

    def show(console: Console) -> None:
        from rich.markup import escape

        console.print("[bold]Read as conditions for the generator of crystals (wyckoff-gpt)[/bold]")
        for reason in found.reasons:
            console.print(f"  {escape(reason)}")
        if found.ignored:
            console.print(f"[yellow]not understood, not used:[/yellow] {escape(', '.join(found.ignored))}")
        if not result["files"]:
            console.print("\nNothing is drawn yet. Draw crystals with --out FOLDER here, or with this command:")
        console.print(f"\n{escape(command)}", soft_wrap=True)
        if result["files"]:
            console.print(
                f"\n{count} asked for; written: {', '.join(result['files'])}. They are drafts: 'sozai screen' them."
            )

    emit(result, as_json, show)


def _result(kind: str, asked: str, judged: Sequence[Judged], read: dict[str, Any] | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "kind": kind,
        "asked": asked,
        "passed": bool(judged) and all(item.passed for item in judged),
        "read": read,
        "structures": [item.to_dict() for item in judged],
    }
    result["verdict"] = sentence(result, judged)
    return result


def _write(
    folder: Path, result: dict[str, Any], judged: Sequence[Judged], settings: dict[str, Any], *,
    data: Sequence[Path] = (), manifest: Any = None,
) -> None:  # fmt: skip
    """result.json, rules.yaml and report.html; and a manifest where there is none yet."""
    from sozai.assistant.structures.propose_run import TRANSCRIPT
    from sozai.files import atomic, output_folder, write_json
    from sozai.reports.page import write_page
    from sozai.reports.structures import structures_page
    from sozai.trust.manifest import Manifest

    if manifest is None:
        with Manifest(output_folder(folder), settings=settings, data=data) as made:
            _write(folder, result, judged, settings, manifest=made)
        return
    if result.get("read"):
        with atomic(folder / "rules.yaml") as stream:
            stream.write(result["read"]["text"])
    if result.get("transcript"):
        write_json(folder / TRANSCRIPT, result["transcript"])
    write_json(folder / "result.json", result)
    page = structures_page(result, [item.structure for item in judged], manifest.content)
    write_page(folder / "report.html", page)
