"""Language models of any provider behind one small protocol."""

from sozai.assistant.models.connect import connect

__all__ = ["connect"]
