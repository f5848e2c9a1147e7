"""A language model proposes a script where our own methods refuse or prove nothing; only the proof makes it count."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sozai.assistant.equations.pde.noise import without_noise
from sozai.assistant.equations.problem import Problem, Solution
from sozai.assistant.equations.proposed.grid import Axes, levels
from sozai.assistant.equations.proposed.proof import Proof, prove
from sozai.assistant.equations.proposed.run import GRID, NUMBERS, Runs, run_on
from sozai.assistant.equations.proposed.second import second_method
from sozai.assistant.equations.results import as_statement
from sozai.assistant.models import LanguageModel, Proposal, ReplyError, propose
from sozai.assistant.sandbox import run_script
from sozai.knowledge.verdict import Verdict

LONGEST = 60_000
_THOUGHT = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_BLOCK = re.compile(r"^[ \t]*```[ \t]*(\w*)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_SYSTEM = "You write numerical Python. You answer with one block of code that begins with ```python, and no other."
_TASK = """Write a Python script that solves this problem.

{statement}

The script finds a file {grid} in its folder: {{{keys}}}, evenly spaced coordinates with both ends.
It must compute {names} at exactly these coordinates and write them with
    numpy.savez("{file}", {saves})
Each array has the shape ({shape}), in this order, of real finite numbers.
It is run three times, each time with half the steps, and the numbers must get better with them: take the grid's steps
or smaller ones in your scheme, or use a formula that is exact. Errors below 1e-4 on the finest grid are wanted.
It may use numpy and scipy only, has no network, no other files, {seconds:.0f} seconds and {memory} MB.
The numbers are then put into the equation by differences of high order, the conditions are checked, and the three runs
are compared. Only that counts; what the script prints does not.
"""


@dataclass(frozen=True)
class Attempt:
    """A script that a model wrote, and what became of it.

    Attributes:
        script: as it was written.
        runs: in the sandbox.
        proof: ``None`` where it left no numbers.
    """

    script: str
    runs: Runs
    proof: Proof | None

    @property
    def verdicts(self) -> list[Verdict]:
        """What is told to a person and, where it failed, to the model."""
        if self.proof is None:
            return [Verdict("runs", False, self.runs.problem)]
        return [Verdict("runs", True, "the script ran in the sandbox on all grids"), *self.proof.verdicts]


@dataclass(frozen=True)
class Proposed:
    """What came of asking for a script.

    Attributes:
        solution: of the best script that left numbers, ``None`` where none did; see its ``proven``.
        attempts: every script that could be read, in order.
        talk: the conversation with all verdicts.
    """

    solution: Solution | None
    attempts: tuple[Attempt, ...]
    talk: Proposal[Attempt]

    @property
    def proven(self) -> bool:
        """Whether a script passed."""
        return self.talk.passed

    def sentence(self) -> str:
        """What became of it, in one."""
        asked = f"{self.talk.model} was asked {len(self.talk.rounds)} times for a script"
        if self.proven:
            return f"{asked}; one was proven."
        last = self.talk.rounds[-1]
        why = last.problem or "; ".join(v.message for v in last.verdicts if v.fatal)
        return f"{asked}; none was proven (the last: {why})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: the transcript, and of each run what the sandbox says."""
        return self.talk.to_dict() | {
            "runs": [[{**ran} for ran in attempt.runs.ran] for attempt in self.attempts],
        }

    def scripts(self) -> list[str]:
        """All scripts, each with its verdict in the first lines."""
        return [_marked(attempt, self.talk.model) for attempt in self.attempts]


def propose_script(
    problem: Problem,
    model: LanguageModel,
    reason: str = "",
    *,
    own: Solution | None = None,
    rounds: int = 3,
    minutes: float = 5.0,
    seconds: float | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Proposed:
    """Ask a model for a script, run it in the sandbox on three grids, and prove or refute its numbers.

    Args:
        problem: well-posed.
        model: to ask.
        reason: why our own methods do not do; told with the result.
        own: numbers of our own methods that were not proven, to compare with.
        rounds: questions at most; failed verdicts go back.
        minutes: for all; no round is begun after them.
        seconds: for each run of a script.
        seed: of random initial data.
        on_progress: told (done, total, note).

    Raises:
        UserError: the model cannot be asked, or this machine cannot isolate a script.
    """
    problem = without_noise(problem, seed)
    grids = levels(problem)
    seconds = seconds if seconds is not None else max(5.0, min(120.0, 60 * minutes / 6))
    attempts: dict[str, Attempt] = {}

    def read(reply: str) -> Attempt:
        script = script_of(reply)
        if script not in attempts:
            attempts[script] = _attempt(script, problem, grids, seconds, own)
        return attempts[script]

    _has_sandbox()
    talk: Proposal[Attempt] = propose(
        model,
        _task(problem, grids[0], seconds),
        lambda attempt: attempt.verdicts,
        read=read,
        rounds=rounds,
        system=_SYSTEM,
        max_tokens=4000,
        seed=seed,
        minutes=minutes,
        on_progress=on_progress,
    )
    tried = tuple(attempts.values())
    numbered = [one for one in tried if one.proof is not None]
    best = talk.value or (min(numbered, key=lambda one: sum(v.fatal for v in one.verdicts)) if numbered else None)
    solution = _solution(problem, best, grids[-1], model, reason) if best is not None else None
    return Proposed(solution, tried, talk)


def script_of(reply: str) -> str:
    """The one script in a reply.

    Raises:
        ReplyError: there is none, or there are several, or it is no Python.
    """
    body = _THOUGHT.sub("", reply, count=1)
    blocks = [text for kind, text in _BLOCK.findall(body) if kind.lower() in ("", "python", "py", "python3")]
    if len(set(blocks)) > 1:
        raise ReplyError("the reply holds several scripts", mend="answer with one block of code")
    text = (blocks[0] if blocks else body).strip() + "\n"
    if len(text) > LONGEST:
        raise ReplyError(f"the script has {len(text):,} characters; at most {LONGEST:,} are read")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        what = (
            f"the script is no Python: {' '.join(str(error).split())[:200]}" if blocks else "the reply holds no script"
        )
        raise ReplyError(what, mend="answer with one block of code that begins with ```python") from None
    if not any(isinstance(node, ast.Call) for node in ast.walk(tree)):
        raise ReplyError("the reply holds no script", mend="answer with one block of code that begins with ```python")
    return text


def _has_sandbox() -> None:
    """Refuse before a model is asked."""
    run_script("pass", seconds=20)


def _task(problem: Problem, axes: Axes, seconds: float) -> str:
    statement = as_statement(problem)
    lines = [*statement["equations"], *statement["conditions"]]
    lines += [", ".join([*statement["domain"], *statement["parameters"]])]
    names = ", ".join(problem.unknowns)
    if problem.name in ("cahn-hilliard",) or any(c.kind in ("neumann", "robin") for c in problem.conditions):
        lines.append("d/dn is the derivative along the outward normal.")
    return _TASK.format(
        statement="\n".join(lines),
        grid=GRID,
        file=NUMBERS,
        keys=", ".join(f'"{name}": [...]' for name in axes),
        names=names,
        saves=", ".join(f"{name}={name}" for name in problem.unknowns),
        shape=", ".join(f"len({name})" for name in axes) + ("," if len(axes) == 1 else ""),
        seconds=seconds,
        memory=3072,
    )


def _attempt(script: str, problem: Problem, grids: Sequence[Axes], seconds: float, own: Solution | None) -> Attempt:
    runs = run_on(script, grids, problem.unknowns, seconds=seconds)
    if runs.problem:
        return Attempt(script, runs, None)
    proof = prove(problem, grids, runs.numbers)
    second = second_method(problem, grids[-1], runs.numbers[-1], proof.error, own, seconds)
    return Attempt(script, runs, Proof((*proof.verdicts, second), proof.error))


def _solution(problem: Problem, best: Attempt, axes: Axes, model: LanguageModel, reason: str) -> Solution:
    assert best.proof is not None
    isolation = str(best.runs.ran[-1]["isolation"])
    notes = [*problem.notes]
    if reason:
        notes.append(f"sozai's own methods: {reason}")
    return Solution(
        problem=replace(problem, notes=problem.notes),
        method=f"a script that {model.name} wrote, run in a sandbox (isolation: {isolation}) on three grids",
        axes={name: np.asarray(places) for name, places in axes.items()},
        values=best.runs.numbers[-1],
        error=best.proof.error,
        verdicts=best.verdicts,
        shown=_shown(best),
        script=_marked(best, model.name),
        notes=tuple(notes),
        extra={"written_by": model.name, "isolation": isolation, "proposed": True},
    )


def _shown(best: Attempt) -> str:
    words = {
        "residual": "the equations as given are fulfilled better and better under refinement",
        "refinement": "the numbers of three grids converge",
        "initial_condition": "the initial conditions hold",
        "boundary_condition": "the boundary conditions hold",
        "error_bar": "the error bar is narrow",
        "second_method": "another method agrees",
    }
    by = {rule: [v.passed for v in best.verdicts if v.rule == rule] for rule in words}
    held = [words[rule] for rule, states in by.items() if states and all(states)]
    broken = [words[rule] for rule, states in by.items() if any(state is False for state in states)]
    text = f"Shown: {', '.join(held) or 'nothing'}."
    if not (best.proof and best.proof.holds):
        text = f"NOT PROVEN: it was not shown that {', nor that '.join(broken) or 'it solves the problem'}. {text}"
    return text + (
        " The script was written by a language model and is not trusted: only its numbers were judged, on these grids. "
        "The error bar is an estimate from the changes under refinement and the residual, not a bound."
    )


def _marked(attempt: Attempt, model: str) -> str:
    """The script with what became of it in the first lines."""
    name = " ".join(model.split())
    proven = attempt.proof is not None and attempt.proof.holds
    head = [
        f"# Written by the language model {name}. Its numbers were {'proven' if proven else 'NOT PROVEN'} by sozai.",
        f"# It reads {GRID} from the folder it runs in, and writes {NUMBERS}. Read it before you run it yourself.",
    ]
    for verdict in attempt.verdicts:
        if verdict.passed is False:
            head.append(f"# FAILED {verdict.rule}: {' '.join(verdict.message.split())[:300]}")
    return "\n".join(head) + "\n" + attempt.script
