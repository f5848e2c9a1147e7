"""A place in the words of a formula, moved on word by word."""

from __future__ import annotations

from sozai.assistant.equations.scope import Scope
from sozai.assistant.equations.tokens import Token, tokenise
from sozai.errors import UserError


class Cursor:
    """The words of a formula and the place that is being read.

    Args:
        text: of the formula.
        scope: what its names mean.
    """

    def __init__(self, text: str, scope: Scope):
        self.text, self.scope = text.strip(), scope
        self.tokens = tokenise(text, tuple(scope.unknowns))
        self.at, self.depth = 0, 0

    @property
    def now(self) -> Token:
        """The word at the place."""
        return self.tokens[self.at]

    @property
    def after(self) -> Token:
        """The word behind it."""
        return self.tokens[min(self.at + 1, len(self.tokens) - 1)]

    def skip(self, count: int) -> None:
        """Move on."""
        self.at += count

    def fail(self, what: str) -> UserError:
        """What is to be raised."""
        return UserError(what, f"'{self.text[:120]}'", "write it as in du/dt = -k*u")

    def expect(self, kind: str) -> None:
        """Refuse a word of another kind."""
        if self.now.kind != kind:
            raise self.fail(f"'{self.now.text or 'the end'}' was not expected here")

    def take(self, sign: str) -> None:
        """Move over a sign that must stand here."""
        if self.now.kind != "op" or self.now.text != sign:
            raise self.fail(f"'{sign}' is missing before {repr(self.now.text) if self.now.text else 'the end'}")
        self.at += 1
