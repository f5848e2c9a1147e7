"""Answers to questions over a library of documents, every sentence with its quote."""

from sozai.assistant.answers.compose import answer
from sozai.assistant.answers.evidence import Action, Answer, Citation, Effect, Statement, Strategy
from sozai.assistant.answers.finding import Shelf
from sozai.assistant.answers.support import unsupported

__all__ = ["Action", "Answer", "Citation", "Effect", "Shelf", "Statement", "Strategy", "answer", "unsupported"]
