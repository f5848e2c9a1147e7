"""How a fault of a problem is told: what is wrong, and what to add or change."""

from __future__ import annotations

from sozai.assistant.equations.problem import Problem
from sozai.knowledge.verdict import Verdict


def bad(rule: str, what: str, mend: str, severity: str = "hard") -> Verdict:
    """A verdict that failed."""
    return Verdict(rule, False, f"{what} -> {mend}", severity=severity)


def coordinates_of(problem: Problem) -> list[str]:
    """Names of space, then time."""
    return [str(c) for c in (*problem.space, *([problem.time] if problem.time is not None else []))]
