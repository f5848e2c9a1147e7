"""What a recipe is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sozai.generators.core import Core, Likelihood

Build = Callable[..., Core]
"""``build(fields, conditions, **settings)``; every setting has a default."""


@dataclass(frozen=True)
class Recipe:
    """A named system of the literature: which parts, put together how.

    Args:
        name: in the catalog, e.g. ``"wgan-gp"``.
        title: written out.
        family: ``gan``, ``vae``, ``diffusion``, ``flow`` or ``language``.
        paper: authors, venue or year, arXiv number.
        idea: what is special about it, about five lines.
        formula: what defines it, in plain text.
        build: makes the core.
        likelihood: what ``log_prob`` gives.
        serves: kinds of ``sozai.fields`` that it generates; ``"sites"`` when also on sites.
        conditional: whether it takes conditions.
        cost: ``seconds``, ``minutes`` or ``hours`` for about 1,000 rows on two cores.
        training: settings of ``generators.train.train`` that suit it (``steps``, ``batch_size``, ``ema``, ...).
        sampler: whether it is a faster sampler, which can also wrap an already fitted diffusion.
        sets: of rows that it learns from; with two it translates between them.
        needs: what it needs beside rows, in words: it is then not fitted by ``fit(rows)`` alone.
        numbers: reference numbers, "what: paper's | ours" lines.
    """

    name: str
    title: str
    family: str
    paper: str
    idea: str
    formula: str
    build: Build
    likelihood: Likelihood
    serves: tuple[str, ...]
    conditional: bool = True
    cost: str = "minutes"
    training: Mapping[str, Any] = field(default_factory=dict)
    sampler: bool = False
    sets: int = 1
    needs: str = ""
    numbers: tuple[str, ...] = ()
