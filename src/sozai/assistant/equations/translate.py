"""A language model turns words into an equation; our parser reads it, and what it added to the words is told.

The model gives the keys of a problem file and nothing else: its text is read by the parser like any other input, never
run. Whether the equation is the one that was meant only the person can tell, so it is always shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sozai.assistant.equations.parse import problem_text, read_problem
from sozai.assistant.equations.problem import Problem
from sozai.assistant.equations.tokens import LONGEST
from sozai.assistant.equations.wellposed import check_problem
from sozai.assistant.models import LanguageModel, fence, propose, read_json
from sozai.errors import UserError
from sozai.knowledge.verdict import Verdict

SCHEMA = {
    "type": "object",
    "properties": {
        "equations": {"type": "array", "items": {"type": "string"}},
        "conditions": {"type": "array", "items": {"type": "string"}},
        "domain": {"type": "object"},
        "parameters": {"type": "object"},
        "time": {"type": "array"},
    },
    "required": ["equations"],
    "additionalProperties": False,
}
_TASK = """Write this problem as JSON with the keys equations, conditions, domain, parameters, time.
Use plain mathematics.
Example for cooling in time:
{"equations": ["dT/dt = -k*(T - Ta)"], "conditions": ["T(0) = 90"],
 "parameters": {"k": "0.1 1/s", "Ta": "20"}, "time": [0, 60]}
Example for diffusion in a rod:
{"equations": ["u_t = D*u_xx"], "conditions": ["u(0,t) = 0", "u(1,t) = 0", "u(x,0) = sin(pi*x)"],
 "domain": {"x": [0, 1]}, "parameters": {"D": "0.1"}, "time": [0, 2]}
Use only numbers that the text gives. Leave out what it does not say.

"""
_FREE = {"0", "1", "2", "3", "4"}
"""Numbers that may stand in an equation without standing in the text: exponents, factors, the start."""
_UNITS = r"1/\s*[A-Za-z]+|[A-Za-z]+\s*\^?-?\d"


def translate(
    text: str,
    model: LanguageModel,
    reason: str = "",
    *,
    parameters: Mapping[str, str] | None = None,
    end: float | None = None,
    rounds: int = 3,
) -> tuple[Problem, dict[str, Any]]:
    """The problem that a model reads in a text, and what it wrote.

    Args:
        text: words of a person.
        model: to ask.
        reason: why the parser could not read the text.
        parameters, end: as of ``read_problem``.
        rounds: questions at most.

    Returns:
        the problem, with a note on the numbers that the text does not have; and ``{"model", "clauses", "added",
        "rounds"}``.

    Raises:
        UserError: no answer of the model is a well-posed problem; the last reason is told.
    """
    if len(text) > LONGEST:
        raise UserError(f"the text is longer than {LONGEST:,} characters", mend="give the equation alone")

    def read(reply: str) -> tuple[str, Problem]:
        clauses = problem_text(read_json(reply, SCHEMA).value)
        return clauses, read_problem(clauses, parameters=parameters, end=end)

    def check(value: tuple[str, Problem]) -> list[Verdict]:
        return [Verdict("reads", True, "the equation can be read"), *check_problem(value[1])]

    made = propose(model, _TASK + fence(text), check, read=read, schema=SCHEMA, rounds=rounds)
    if made.value is None:
        told = made.rounds[-1].problem or "; ".join(
            v.message.replace(" -> ", ": ") for v in made.rounds[-1].verdicts if v.fatal
        )
        raise UserError(
            f"the model's translation is no problem that can be solved ({told})",
            f"'{text[:80]}'",
            f"write it as an equation; without the model: {reason}" if reason else "write it as an equation",
        )
    clauses, problem = made.value
    added = invented(clauses, text)
    note = f"Translated by {model.name}." + (
        f" These numbers are not in your text: {', '.join(added)}." if added else ""
    )
    from dataclasses import replace

    problem = replace(problem, text=text, notes=(note, *problem.notes))
    return problem, {"model": model.name, "clauses": clauses.splitlines(), "added": added, "rounds": len(made.rounds)}


def invented(clauses: str, text: str) -> list[str]:
    """Numbers of a translation that the text does not have, small whole numbers and units apart."""
    said = {float(number) for number in _numbers(text)}
    return [
        number
        for number in dict.fromkeys(_numbers(re.sub(_UNITS, " ", clauses)))
        if number not in _FREE and float(number) not in said
    ]


def _numbers(text: str) -> list[str]:
    return re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", text)
