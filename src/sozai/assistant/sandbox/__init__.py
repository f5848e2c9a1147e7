"""Scripts that a language model wrote run here or nowhere."""

from sozai.assistant.sandbox.run import Ran, run_script

__all__ = ["Ran", "run_script"]
