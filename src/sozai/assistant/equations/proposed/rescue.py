"""Our own methods first; where they refuse or prove nothing, a script of a language model, if one was named."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sozai.assistant.equations.problem import Problem, Solution
from sozai.assistant.equations.proposed.ask import Proposed, propose_script
from sozai.assistant.equations.proposed.grid import levels
from sozai.assistant.equations.proposed.run import GRID, grid_file
from sozai.assistant.equations.solve import solve
from sozai.assistant.models import LanguageModel
from sozai.errors import UserError
from sozai.files import atomic, output_folder, write_json

_OWN_PART = 0.6
"""Of the time, for our own methods, where a model may be asked after them."""


def solve_or_propose(
    problem: Problem,
    model: Callable[[], LanguageModel],
    *,
    tolerance: float | None = None,
    minutes: float = 5.0,
    seed: int = 0,
    points: int = 401,
    rounds: int = 3,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> tuple[Solution | None, Proposed | None, str]:
    """Solve and prove; only where that fails, ask a model for a script and prove its numbers.

    Args:
        problem: as of ``solve``.
        model: makes the model when it is needed.
        tolerance, minutes, seed, points, on_progress: as of ``solve``.
        rounds: questions to the model at most.

    Returns:
        the solution: our own where it is proven, else that of a proven script, else what there is, not proven (``None``
        where nobody gave any numbers); what came of the model, ``None`` where it was not asked; why it was asked.

    Raises:
        UserError: the problem is ill-posed (no script can mend that), or the model cannot be asked.
    """
    began = time.monotonic()
    own: Solution | None = None
    try:
        own = solve(
            problem,
            tolerance=tolerance,
            minutes=_OWN_PART * minutes,
            seed=seed,
            points=points,
            on_progress=on_progress,
        )
        if own.proven:
            return own, None, ""
        failed = ", ".join(dict.fromkeys(v.rule.replace("_", " ") for v in own.verdicts if v.passed is False))
        reason = f"gave numbers that they could not prove ({failed or 'nothing was shown'})"
    except UserError as error:
        if error.what.startswith("ill-posed"):
            raise
        reason = error.sentence()
    left = max(0.4 * minutes, minutes - (time.monotonic() - began) / 60)
    made = propose_script(
        problem, model(), reason, own=own, rounds=rounds, minutes=left, seed=seed, on_progress=on_progress
    )
    if made.proven or own is None:
        return made.solution, made, reason
    return replace(own, notes=(*own.notes, made.sentence())), made, reason


def keep(made: Proposed, problem: Problem, folder: str | Path) -> dict[str, str]:
    """Write all scripts, marked, the transcript, and the finest grid, with which a script can be run by hand.

    Returns:
        path by kind.
    """
    out = output_folder(folder)
    files = {"transcript": out / "proposed.json", "grid": out / GRID}
    write_json(files["transcript"], made.to_dict())
    with atomic(files["grid"]) as stream:
        stream.write(grid_file(levels(problem)[-1]))
    for number, script in enumerate(made.scripts(), 1):
        files[f"proposed {number}"] = out / f"proposed_{number}.py"
        with atomic(files[f"proposed {number}"]) as stream:
            stream.write(script)
    return {kind: str(path) for kind, path in files.items()}
