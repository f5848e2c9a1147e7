"""sozai: generative AI for materials science that a person at the bench can trust."""

from sozai.errors import UserError

__version__ = "0.1.0"
__all__ = ["UserError", "__version__"]
