"""Diffusion over typed fields: categories alone, rows of tables, and everything at once."""

from __future__ import annotations

from functools import partial

from sozai.generators.families.field_diffusion import FieldDiffusion
from sozai.generators.recipes.recipe import Recipe

RECIPES = [
    Recipe(
        name="d3pm",
        title="Discrete denoising diffusion",
        family="diffusion",
        paper="Austin et al., NeurIPS 2021, arXiv 2107.03006",
        idea=(
            "Noise for categories: a matrix of transition probabilities instead of a normal distribution. A category "
            "becomes a random one (transition='uniform'), a blank ('absorbing': the bound is then that of a masked "
            "language model at every masking rate), or a near neighbour ('gaussian', for ordered ones such as grey "
            "levels). The network predicts the clean category; the reverse step follows by Bayes' rule."
        ),
        formula=(
            "q(x_t|x_s) = Cat(x_s Q_t);  p(x_s|x_t) ~ (Q_t x_t) * (p(x_0|x_t) Qbar_s);  "
            "loss = sum_t KL(q(x_s|x_t,x_0) || p(x_s|x_t)) + lambda CE(x_0)"
        ),
        build=partial(FieldDiffusion, discrete_levels=True),
        likelihood="bound",
        serves=("categorical", "sequence", "image", "sites"),
        training={"steps": 2000, "batch_size": 128, "ema": 0.995},
    ),
    Recipe(
        name="tabddpm",
        title="Diffusion of table rows",
        family="diffusion",
        paper="Kotelnikov et al., ICML 2023, arXiv 2209.15421",
        idea=(
            "Rows of numbers and categories: Gaussian diffusion of the numbers, whose quantiles are first made normal, "
            "and multinomial (uniform discrete) diffusion of each category, noised together and denoised by one "
            "perceptron. The loss is the noise's squared error and the mean of the categories' bounds."
        ),
        formula="loss = E|eps - eps'|^2 + (1/C) sum_i sum_t KL(q(x_i,s|x_i,t,x_i,0) || p(x_i,s|x_t))",
        build=partial(
            FieldDiffusion,
            transition="uniform",
            cross_entropy=0.0,
            predict="noise",
            scale="quantile",
        ),
        likelihood="none",
        serves=("continuous", "categorical"),
        training={"steps": 3000, "batch_size": 256, "ema": 0.995},
    ),
    Recipe(
        name="field-diffusion",
        title="Joint diffusion of typed fields",
        family="diffusion",
        paper="after Zeni et al. (MatterGen), Nature 2025, arXiv 2312.03687; Jiao et al. (DiffCSP), arXiv 2309.04475",
        idea=(
            "A material as a set of fields, each noised in its own space to the same time: numbers and images by "
            "Gaussian noise, categories by D3PM, fractional coordinates and torsions by the wrapped normal, rotations "
            "by IGSO(3). One network sees all and denoises all: a perceptron without sites, a transformer that does "
            "not care for the order of sites, nor for the origin of a cell, with them. A crystal is lattice + "
            "coordinates + species."
        ),
        formula="q(z_t|z_0) = prod over fields of q_field(z_t|z_0);  loss = sum over kinds of each one's own loss",
        build=FieldDiffusion,
        likelihood="bound",
        serves=("continuous", "categorical", "periodic", "rotation", "image", "sequence", "sites"),
        training={"steps": 3000, "batch_size": 128, "ema": 0.995},
    ),
]
"""Systems of this family."""
