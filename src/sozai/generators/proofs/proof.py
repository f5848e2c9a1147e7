"""What a proof is: measured against exact, with the mutations of our own code that it must notice.

    @check("ddim", seconds=2, broken_by=[Mutation("eta is ignored", "sozai.generators.samplers.ddim:sigma", broken)])
    def order_of_convergence() -> Iterator[Finding]:
        "The error against the exact flow falls with the first power of the step."
        yield near("slope of log error against log step", 1.0, measured, 0.15, "three step sizes, asymptotic only")

A check is a generator function. A mutation names what it replaces as ``module:attribute.path``; while it is
applied the check must yield at least one finding that fails (or raise).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from unittest.mock import patch

import torch

from sozai.generators.tensors import seeded

FAST_SECONDS = 6.0
"""Checks up to this long (one core) run in the test suite; the others at night."""


@dataclass(frozen=True)
class Finding:
    """One comparison: what was expected, what was got, and why the tolerance is what it is."""

    what: str
    expected: str
    got: str
    passed: bool
    why: str = ""


@dataclass(frozen=True)
class Mutation:
    """A way to break the part that defines a system.

    Args:
        what: in words, e.g. ``"the trace has the wrong sign"``.
        target: ``"module:attribute.path"`` of what is replaced.
        replacement: by what; ``None``: ``make`` is called with the original and returns it.
        make: see above.
    """

    what: str
    target: str
    replacement: Any = None
    make: Callable[[Any], Any] | None = None

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block our code is broken."""
        module, _, path = self.target.partition(":")
        owner: Any = import_module(module)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        original = getattr(owner, name)
        with patch.object(owner, name, self.make(original) if self.make else self.replacement):
            yield


@dataclass(frozen=True)
class Check:
    """A check of one or more systems."""

    systems: tuple[str, ...]
    function: Callable[[], Iterator[Finding]]
    seconds: float
    broken_by: tuple[Mutation, ...]

    @property
    def name(self) -> str:
        """Of the function."""
        return self.function.__name__

    @property
    def fast(self) -> bool:
        """Whether it runs in the test suite."""
        return self.seconds <= FAST_SECONDS

    def findings(self, seed: int = 0) -> Generator[Finding, None, None]:
        """One after the other, with torch's random numbers seeded; nothing outside is disturbed once it is closed."""
        with seeded(seed):
            threads = torch.get_num_threads()
            try:
                yield from self.function()
            finally:
                torch.set_num_threads(threads)

    def run(self, seed: int = 0) -> list[Finding]:
        """All findings."""
        return list(self.findings(seed))

    def survives(self, mutation: Mutation) -> bool:
        """Whether all findings still pass with our code broken: then the check is worthless."""
        with mutation.applied(), closing(self.findings()) as findings:
            try:
                return all(finding.passed for finding in findings)  # the first that fails ends it
            except Exception:
                return False


CHECKS: list[Check] = []
"""All checks of the imported proof modules; ``proofs.catalog`` imports them all."""


def check(
    *systems: str, seconds: float, broken_by: Sequence[Mutation]
) -> Callable[[Callable[[], Iterator[Finding]]], Callable[[], Iterator[Finding]]]:
    """Register a check.

    Args:
        systems: names of the recipes it proves.
        seconds: about how long it takes on one core.
        broken_by: mutations, each of which must make it fail.
    """

    def register(function: Callable[[], Iterator[Finding]]) -> Callable[[], Iterator[Finding]]:
        CHECKS.append(Check(systems, function, seconds, tuple(broken_by)))
        return function

    return register


def near(what: str, expected: float, got: float, tolerance: float, why: str = "") -> Finding:
    """``got`` within ``tolerance`` of ``expected``."""
    passed = math.isfinite(got) and abs(got - expected) <= tolerance
    return Finding(what, f"{expected:.6g} ± {tolerance:.2g}", f"{got:.6g}", passed, why)


def at_most(what: str, bound: float, got: float, why: str = "") -> Finding:
    """``got`` not above ``bound``."""
    return Finding(what, f"≤ {bound:.6g}", f"{got:.6g}", math.isfinite(got) and got <= bound, why)


def at_least(what: str, bound: float, got: float, why: str = "") -> Finding:
    """``got`` not below ``bound``."""
    return Finding(what, f"≥ {bound:.6g}", f"{got:.6g}", math.isfinite(got) and got >= bound, why)


def holds(what: str, passed: bool, got: str = "", why: str = "") -> Finding:
    """A plain yes or no."""
    return Finding(what, "true", got or str(bool(passed)).lower(), bool(passed), why)
