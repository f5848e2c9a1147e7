"""What a rule says about one material."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """The outcome of one rule on one material.

    Attributes:
        rule: name of the rule, e.g. ``"charge_neutrality"``.
        passed: ``True``, ``False``, or ``None`` when the rule does not apply or could not be decided
            (then ``message`` says why).
        amount: how far the rule is violated, in ``unit``; 0.0 when it holds.
        unit: unit of ``amount``, ``""`` for a pure number.
        message: one sentence a person can act on.
        severity: ``"hard"`` (a failure removes the material from the funnel) or ``"soft"`` (it is told).
    """

    rule: str
    passed: bool | None
    message: str
    amount: float = 0.0
    unit: str = ""
    severity: str = "hard"

    @property
    def fatal(self) -> bool:
        """Whether this verdict removes the material from the funnel."""
        return self.passed is False and self.severity == "hard"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)
