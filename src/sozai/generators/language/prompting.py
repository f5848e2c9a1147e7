"""Few-shot prompting: a fitted language model solves a task that it is only shown examples of.

    few_shot = FewShot(core, Alphabet("abcWX "), Template("{question}{answer} "), answers=["W", "X"])
    few_shot.ask([[("a", "W"), ("b", "X")]], ["a"])          # -> ["W"]

No weight changes (T. Brown et al., Language models are few-shot learners, 2020, arXiv 2005.14165). Answers are
decoded under a mask that lets only the known ones be written, so that every output parses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sozai.errors import UserError
from sozai.generators.families.autoregressive import Autoregressive, TokenMask

Shots = Sequence[tuple[str, str]]
"""Questions with their answers."""


@dataclass(frozen=True)
class Alphabet:
    """Text as tokens, one a character."""

    characters: str

    def encode(self, text: str) -> list[int]:
        """Tokens of a text.

        Raises:
            UserError: it holds a character that is not in the alphabet.
        """
        strange = sorted(set(text) - set(self.characters))
        if strange:
            raise UserError(f"the characters {strange} are not in the model's alphabet", "text")
        return [self.characters.index(character) for character in text]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text; tokens beyond the alphabet (start and end) are left out."""
        return "".join(self.characters[token] for token in tokens if token < len(self.characters))


@dataclass(frozen=True)
class Template:
    """How an example is written; the prompt is all examples, then the question as far as its answer."""

    example: str = "{question}>{answer};"

    def __post_init__(self) -> None:
        if not self.example.index("{question}") < self.example.index("{answer}"):
            raise UserError("the question must stand before the answer", "template")

    @property
    def end(self) -> str:
        """What follows an answer."""
        return self.example.partition("{answer}")[2]

    def prompt(self, shots: Shots, question: str) -> str:
        """What the model is to continue."""
        shown = "".join(self.example.format(question=asked, answer=answer) for asked, answer in shots)
        return shown + self.example.partition("{answer}")[0].format(question=question)

    def parse(self, written: str, answers: Sequence[str]) -> str | None:
        """The answer in what the model wrote; ``None`` when it is none of those known."""
        answer = written.partition(self.end)[0] if self.end else written
        return answer if answer in answers else None


def only(options: Sequence[Sequence[int]], start: int, vocabulary: int) -> TokenMask:
    """A mask under which one of the options is written after the first ``start`` tokens; behind it anything."""

    def mask(tokens: Tensor) -> Tensor:
        allowed = torch.zeros(len(tokens), vocabulary, dtype=torch.bool)
        for row, written in enumerate(tokens[:, start:].tolist()):
            nexts = [o[len(written)] for o in options if len(o) > len(written) and list(o[: len(written)]) == written]
            allowed[row, nexts if nexts else slice(None)] = True
        return allowed

    return mask


class FewShot:
    """Questions to a model of texts.

    Args:
        core: whose only field is a sequence of the alphabet's characters.
        alphabet: of its texts.
        template: of its examples.
        answers: all that can be answered.
    """

    def __init__(self, core: Autoregressive, alphabet: Alphabet, template: Template, answers: Sequence[str]):
        self.core, self.alphabet, self.template, self.answers = core, alphabet, template, list(answers)

    def ask(
        self, shots: Sequence[Shots], questions: Sequence[str], constrained: bool = True, temperature: float = 0.0,
        **options: Any,
    ) -> list[str | None]:  # fmt: skip
        """An answer to each question, after the examples of its own; ``None`` where none was understood.

        Args:
            shots: examples for each question.
            questions: what is asked.
            constrained: whether only known answers can be written.
            temperature: 0 for the likeliest answer.
            options: of ``Autoregressive.generate``.
        """
        prompts = [self.alphabet.encode(self.template.prompt(s, q)) for s, q in zip(shots, questions, strict=True)]
        endings = [self.alphabet.encode(answer + self.template.end) for answer in self.answers]
        longest = max(map(len, endings))
        replies: list[str | None] = [None] * len(prompts)
        for length in sorted({len(prompt) for prompt in prompts}):
            rows = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
            mask = only(endings, length, self.core.codec.vocabulary) if constrained else None
            tokens, _ = self.core.generate(
                len(rows), prompt=torch.tensor([prompts[row] for row in rows]), mask=mask, most=longest,
                temperature=temperature, **options,
            )  # fmt: skip
            for row, written in zip(rows, tokens[:, length:].tolist(), strict=True):
                replies[row] = self.template.parse(self.alphabet.decode(written), self.answers)
        return replies
