"""sozai: generative AI for materials science that a person at the bench can trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sozai.errors import UserError

if TYPE_CHECKING:
    from sozai.generators.catalog import generator, load

__version__ = "0.1.0"
__all__ = ["UserError", "__version__", "generator", "load"]


def __getattr__(name: str) -> Any:
    """``sozai.generator`` and ``sozai.load``, imported when first used (torch is heavy)."""
    if name in ("generator", "load"):
        from sozai.generators import catalog

        return getattr(catalog, name)
    raise AttributeError(f"module 'sozai' has no attribute '{name}'")
