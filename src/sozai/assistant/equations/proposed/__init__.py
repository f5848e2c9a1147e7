"""Numbers that come from a script which a language model wrote: they count only when the proof of our own passes."""

from sozai.assistant.equations.proposed.ask import Proposed, propose_script
from sozai.assistant.equations.proposed.rescue import keep, solve_or_propose

__all__ = ["Proposed", "keep", "propose_script", "solve_or_propose"]
