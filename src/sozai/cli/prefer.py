"""``sozai prefer``: keep choices among candidates, and tune wyckoff-gpt by them or by a verified reward."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sozai.cli.frame import AsJson, add_command, emit, progress, resume_with

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Tell which candidates are better, and let wyckoff-gpt learn from it.\n\n"
        "[bold]sozai prefer choose RUN --order BEST,NEXT,...[/bold] keeps your choices with your reasons; "
        "[bold]sozai prefer tune --out DIR[/bold] learns from them, or from the stability of what it draws, and "
        "judges the result by a potential that had no part in it."
    ),
)
CHOOSE_EXAMPLES = ('sozai prefer choose run/ --order c-0003,c-0001 --why "layered, easier to make"',)
TUNE_EXAMPLES = (
    "sozai prefer tune --choices run/choices.jsonl --out tuned/",
    "sozai prefer tune --stability --formulas 60 --minutes 30 --out tuned/",
    "sozai design crystals --elements Li,P,S --weights tuned/weights --out run/",
)


def choose(
    run: Annotated[Path, typer.Argument(help="Folder of a 'sozai design crystals' or 'sozai screen'.")],
    order: Annotated[str, typer.Option(help="Ids of candidates, best first, with commas between.")],
    why: Annotated[str, typer.Option(help="Your reason; it is kept and shown.")] = "",
    file: Annotated[Path | None, typer.Option(help="Where to keep them; by default choices.jsonl in the run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Keep your choices among the candidates of a run: each one named is better than the next."""
    from sozai.design.preferences.choices import FILE_NAME, recall, remember
    from sozai.design.preferences.choices import choose as chosen

    kept = file or run / FILE_NAME
    found = chosen(run, [name.strip() for name in order.split(",") if name.strip()], why)
    remember(kept, found)
    total = len(recall(kept))
    emit(
        {"added": found, "choices": total, "file": str(kept)},
        as_json,
        lambda console: console.print(f"{len(found)} choices added, {total} in {kept}"),
    )


def tune(
    out: Annotated[Path, typer.Option(help="Run folder: weights, report; the same command goes on with it.")],
    choices: Annotated[list[Path] | None, typer.Option(help="File of choices; may be repeated.")] = None,
    stability: Annotated[bool, typer.Option("--stability", help="Learn from energies instead of choices.")] = False,
    formulas: Annotated[int, typer.Option(min=2, help="Stability: formulas to draw for.")] = 60,
    method: Annotated[str, typer.Option(help="Stability: dpo or grpo.")] = "dpo",
    rounds: Annotated[int, typer.Option(min=1, help="Stability: draws are made anew in each.")] = 2,
    each: Annotated[int, typer.Option(min=2, help="Draws a formula.")] = 8,
    beta: Annotated[float, typer.Option(min=0.001, help="How closely it is held to where it started.")] = 0.1,
    held_out: Annotated[int, typer.Option(min=2, help="Formulas to judge on.")] = 24,
    reward: Annotated[str, typer.Option(help="Stability: potential that rewards.")] = "chgnet",
    judge: Annotated[str, typer.Option(help="Potential that judges.")] = "sevennet-l3i5",
    minutes: Annotated[float | None, typer.Option(help="Time for all of it; by default as long as it takes.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder of your own training to start from.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same weights.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Tune wyckoff-gpt by your choices, or by the stability of what it draws.

    What is learned is how to arrange the atoms of a formula; energies of different formulas are never compared.
    Rounds after which the model repeats itself or has drifted too far are taken back. The report compares before and
    after on chemical systems that were not learned from, by a potential that had no part in the tuning, and says so
    when tuning does not help.
    """
    import math

    from sozai.design.preferences.run import tune as tuned
    from sozai.errors import UserError
    from sozai.trust.manifest import command_line

    if bool(choices) == stability:
        raise UserError(
            "it is not said what to learn from", "--choices, --stability", "name a file of choices, or use --stability"
        )
    resume_with(command_line())
    with progress("Tuning", as_json) as on_progress:
        result = tuned(
            out, choices=choices or (), formulas=formulas, method=method, rounds=rounds, each=each, beta=beta,
            held_out=held_out, reward=reward, judge=judge, minutes=math.inf if minutes is None else minutes,
            weights=weights, seed=seed, on_progress=on_progress,
        )  # fmt: skip
    emit(
        result,
        as_json,
        lambda console: console.print(
            f"{result['sentence']}\nReport: {out / 'report.html'}. Use it by --weights {result['weights']}",
            soft_wrap=True,
        ),
    )


add_command(app, choose, *CHOOSE_EXAMPLES)
add_command(app, tune, *TUNE_EXAMPLES)
