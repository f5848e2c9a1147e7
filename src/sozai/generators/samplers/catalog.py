"""Samplers by name, with settings that are plain JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sozai.errors import UserError
from sozai.generators.samplers.ancestral import Ancestral
from sozai.generators.samplers.base import Sampler
from sozai.generators.samplers.ddim import DDIM
from sozai.generators.samplers.learned import Learned
from sozai.generators.samplers.ode import DPMSolver, Heun
from sozai.generators.samplers.taylor import Genie
from sozai.generators.samplers.velocity import Velocity

SAMPLERS: dict[str, tuple[Callable[..., Sampler], dict[str, Any]]] = {
    "ancestral": (Ancestral, {}),
    "ddim": (DDIM, {}),
    "dp": (Ancestral, {"path": "dp", "variance": "analytic", "steps": 20}),
    "analytic-dpm": (Ancestral, {"variance": "analytic", "steps": 20, "path": "quadratic"}),
    "ddss": (Learned, {}),
    "genie": (Genie, {"head": True}),
    "heun": (Heun, {}),
    "dpm-solver": (DPMSolver, {}),
    "velocity": (Velocity, {}),
}
"""Class and what differs from its defaults."""


def make(name: str, event: tuple[int, ...], **settings: Any) -> Sampler:
    """A sampler for x of shape ``event``, unfitted.

    Raises:
        UserError: there is no such sampler or setting, or a value that it cannot have.
    """
    if name not in SAMPLERS:
        raise UserError(f"there is no sampler '{name}'", "sampler", f"use one of {', '.join(SAMPLERS)}")
    build, defaults = SAMPLERS[name]
    try:
        return build(event, **{**defaults, **settings})
    except TypeError as error:
        raise UserError(
            str(error).split("() ")[-1], f"sampler '{name}'", "see its settings in the documentation"
        ) from error
