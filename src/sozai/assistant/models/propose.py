"""A model proposes, code decides, and what failed goes back: the loop that all commands with a model share.

    def check(rules):                       # of the value that was read, never of the model's words
        return judge(rules)                 # verdicts

    outcome = propose(model, "Write the rules of NaZr2(PO4)3.", check, read=rules_of, rounds=4)
    outcome.value if outcome.passed else outcome.best   # and outcome.rounds is the transcript

Self-correction without a check can turn right into wrong (MatSciBench, arXiv:2510.12171); here only verdicts of code
are sent back, and the best round counts, not the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sozai.assistant.models.base import LanguageModel, Message, Reply
from sozai.assistant.models.fence import RULE
from sozai.assistant.models.reading import read_json
from sozai.errors import UserError
from sozai.knowledge.verdict import Verdict

T = TypeVar("T")
_SHOWN = 12
"""Failed verdicts in one repair message; a longer list only distracts."""


@dataclass(frozen=True)
class Round(Generic[T]):
    """One question and what became of its answer.

    Attributes:
        asked: the last message of the conversation: the task, or what was wrong.
        reply: as it came; ``None`` when there was none.
        value: what was read of it; ``None`` when it could not be read.
        verdicts: of the value.
        problem: why there is no value, or no reply; empty otherwise.
    """

    asked: str
    reply: Reply | None
    value: T | None = None
    verdicts: tuple[Verdict, ...] = ()
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether it counts: some verdict held and none is fatal. Without a verdict nothing has passed."""
        return (
            self.value is not None
            and any(verdict.passed for verdict in self.verdicts)
            and not any(verdict.fatal for verdict in self.verdicts)
        )

    @property
    def order(self) -> tuple[int, ...]:
        """Smaller is better: readable, fewer fatal verdicts, fewer failed, fewer undecided ones."""
        if self.value is None:
            return (2,)
        fatal = sum(verdict.fatal for verdict in self.verdicts)
        failed = sum(verdict.passed is False for verdict in self.verdicts)
        unknown = sum(verdict.passed is None for verdict in self.verdicts)
        return (0 if self.passed else 1, fatal, failed, unknown)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the transcript; the value itself is the caller's to write."""
        return {
            "asked": self.asked,
            "reply": self.reply.to_dict() if self.reply else None,
            "problem": self.problem,
            "passed": self.passed,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
        }


@dataclass(frozen=True)
class Proposal(Generic[T]):
    """What came of asking a model.

    Attributes:
        model, endpoint: that was asked.
        system: message before all others.
        rounds: in order; the transcript.
        stopped: why no further round was asked.
        cut_short: whether it would have gone on, but for Ctrl-C, the time or the endpoint.
    """

    model: str
    endpoint: str
    system: str
    rounds: tuple[Round[T], ...]
    stopped: str
    cut_short: bool = False

    @property
    def best(self) -> Round[T] | None:
        """The best round that could be read, passed or not; the earliest of equals."""
        readable = [one for one in self.rounds if one.value is not None]
        return min(readable, key=lambda one: one.order) if readable else None

    @property
    def passed(self) -> bool:
        """Whether the best round counts."""
        return self.best is not None and self.best.passed

    @property
    def value(self) -> T | None:
        """The best value if it passed, else ``None``: what failed must be asked for by ``best``."""
        return self.best.value if self.best is not None and self.best.passed else None

    def to_dict(self) -> dict[str, Any]:
        """The transcript as plain JSON types."""
        best = self.best
        return {
            "model": self.model,
            "endpoint": self.endpoint,
            "passed": self.passed,
            "best_round": self.rounds.index(best) + 1 if best else None,
            "stopped": self.stopped,
            "system": self.system,
            "rounds": [one.to_dict() for one in self.rounds],
        }


def propose(
    model: LanguageModel,
    task: str,
    check: Callable[[T], Sequence[Verdict]],
    *,
    read: Callable[[str], T] | None = None,
    schema: Mapping[str, Any] | None = None,
    rounds: int = 3,
    system: str = "",
    max_tokens: int = 2000,
    temperature: float = 0.0,
    seed: int = 0,
    minutes: float | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
    on_round: Callable[[int, Round[T]], None] | None = None,
) -> Proposal[T]:
    """Ask a model, check by code, send back what failed, until it passes or the rounds are used up.

    Each question holds the task, the last answer and its failed verdicts only, so that small contexts suffice. An
    answer that cannot be read is told so and asked for again. Text of documents belongs into ``fence`` first.

    Args:
        model: to ask.
        task: what is wanted, with fenced documents in it.
        check: verdicts of a value. Whatever it looks at must come from the value, not from the reply's words. It
            may raise ``UserError`` for a value that cannot be judged; that counts as unreadable.
        read: turns the reply's text into a value; raises ``UserError`` (or ``ValueError``) with a sentence for the
            model. By default the text itself, or with a ``schema`` the JSON that ``read_json`` finds.
        schema: JSON schema asked of the endpoint; checked by the default ``read``.
        rounds: questions at most.
        system: who the model is and how it answers; the rule about fenced text is added to it.
        max_tokens: of one answer.
        temperature: of the first round; when the same answer comes twice, the next is asked for at 0.7 at least.
        seed: of the first round; each later one adds one.
        minutes: no further round is begun after this time.
        on_progress: ``(done, total, note)`` before each round, with the last failures as note.
        on_round: given each round that was judged with its number, from 1, as soon as it is. With it Ctrl-C ends the
            rounds and returns those there are; without, and before the first round, it goes on up as usual.

    Returns:
        the rounds; ``value`` is set only if all fatal verdicts passed.

    Raises:
        UserError: the model cannot be asked at all (the first question fails). A failure later ends the loop, and
            the rounds until then are kept.
    """
    if rounds < 1:
        raise UserError(f"{rounds} rounds are none", "--rounds", "allow at least one")
    reader = read or _reader(schema)
    rule = "\n\n".join(part for part in (system.strip(), RULE if "<<<DATA " in task else "") if part)
    start = [*([Message("system", rule)] if rule else []), Message("user", task)]
    begun, stopped, cut = time.monotonic(), f"{rounds} rounds were asked", False
    done: list[Round[T]] = []
    messages, warmth = start, temperature
    try:
        for number in range(rounds):
            if number and minutes is not None and time.monotonic() - begun > minutes * 60:
                stopped, cut = f"the {minutes:g} minutes were over", True
                break
            if on_progress:
                on_progress(number, rounds, done[-1].problem or _note(done[-1].verdicts) if done else "")
            try:
                reply = model.complete(
                    messages, schema=schema, max_tokens=max_tokens, temperature=warmth, seed=seed + number
                )
            except UserError as error:
                if not done:
                    raise
                done.append(Round[T](messages[-1].content, None, problem=error.sentence()))
                stopped, cut = "the model could not be asked further", True
                break
            done.append(_judge(messages[-1].content, reply, reader, check))
            if on_round:
                on_round(len(done), done[-1])
            if done[-1].passed:
                stopped = "all checks passed"
                break
            again = [one for one in done[:-1] if one.reply is not None and one.reply.text == reply.text]
            if len(again) >= 2:
                stopped = "the model gave the same answer three times"
                break
            warmth = max(warmth, 0.7) if again else temperature
            messages = [*start, Message("assistant", reply.text), Message("user", _repair(done[-1], bool(again)))]
    except KeyboardInterrupt:
        if on_round is None or not done:
            raise
        stopped, cut = "interrupted", True
    if on_progress:
        on_progress(len(done), rounds, stopped)
    return Proposal(model.name, model.endpoint, rule, tuple(done), stopped, cut)


def _reader(schema: Mapping[str, Any] | None) -> Callable[[str], Any]:
    return (lambda text: read_json(text, schema).value) if schema is not None else str.strip


def _judge(asked: str, reply: Reply, read: Callable[[str], T], check: Callable[[T], Sequence[Verdict]]) -> Round[T]:
    try:
        value = read(reply.text)
        if value is None or value == "":
            raise UserError("the reply holds no answer")
        return Round(asked, reply, value, tuple(check(value)))
    except (UserError, ValueError, RecursionError) as error:
        said = error.sentence() if isinstance(error, UserError) else " ".join(str(error).split())[:500]
        if reply.cut:
            said = f"the answer was cut off before its end, be shorter; {said}"
        return Round(asked, reply, problem=said or type(error).__name__)


def _repair(last: Round[Any], again: bool) -> str:
    """What was wrong, for the model: sentences of code, failures first."""
    if last.problem:
        lines = [f"Your answer cannot be used: {last.problem}"]
    elif failed := sorted((one for one in last.verdicts if one.passed is False), key=lambda one: not one.fatal):
        lines = ["Your answer was checked by code. These checks failed:"]
        lines += [f"- {one.rule}: {one.message}" for one in failed[:_SHOWN]]
        if len(failed) > _SHOWN:
            lines.append(f"- and {len(failed) - _SHOWN} more")
    else:
        lines = ["Your answer could not be decided by any check:"]
        lines += [f"- {one.rule}: {one.message}" for one in last.verdicts[:_SHOWN]]
    if again:
        lines.append("You gave this same answer before. It is wrong; change it.")
    lines.append("Give the whole answer again, corrected, in the same form.")
    return "\n".join(lines)


def _note(verdicts: Sequence[Verdict]) -> str:
    failed = [one.rule for one in verdicts if one.passed is False]
    return f"failed: {', '.join(failed[:3])}{' ...' if len(failed) > 3 else ''}" if failed else "undecided"
