"""GANs made for tables."""

from __future__ import annotations

from functools import partial

from sozai.generators.families.tabular import CTGAN, TGAN, TableGAN
from sozai.generators.recipes.recipe import Recipe

SERVES = ("continuous", "categorical")

RECIPES = [
    Recipe(
        name="tablegan",
        title="TableGAN (TabularGAN)",
        family="gan",
        paper="Park et al., VLDB 2018, arXiv 1806.03384",
        idea="A row becomes a small square image and a DCGAN learns it. Two more losses keep it useful and private:\n"
        "the moments of the critic's features may differ from the real ones by a chosen slack, and a classifier,\n"
        "trained on real rows to predict one column from the others, must agree with the generated rows.",
        formula="L_G = L_GAN + max(0, |E f - E f'| - d) + max(0, |SD f - SD f'| - d) + E |l(x) - C(x)|",
        build=partial(TableGAN, rate=5e-4, betas=(0.5, 0.9), width=24),
        likelihood="none",
        serves=SERVES,
        conditional=False,
        training={"steps": 2000, "batch_size": 256, "ema": 0.999, "patience": 15},
    ),
    Recipe(
        name="tgan",
        title="TGAN",
        family="gan",
        paper="Xu, Veeramachaneni, 2018, arXiv 1811.11264",
        idea="A recurrent network with attention writes a row column by column: of a number its place in one of the\n"
        "modes of its column and then the mode, of a category its probabilities. The critic compares the rows of\n"
        "a batch with each other; the generator also pays the divergence of each discrete column.",
        formula="c -> v = (c - mean_k) / (2 sd_k), u = P(mode | c); L_G = -E log D(G(z)) + sum_j KL(real_j | fake_j)",
        build=partial(TGAN, rate=2e-3, betas=(0.0, 0.9), width=48, layers=2),
        likelihood="none",
        serves=SERVES,
        conditional=False,
        training={"steps": 2000, "batch_size": 64, "ema": 0.999, "patience": 15},
    ),
    Recipe(
        name="ctgan",
        title="Conditional tabular GAN",
        family="gan",
        paper="Xu et al., NeurIPS 2019, arXiv 1907.00503",
        idea="Every row is drawn for a category of a column that was asked for, rare ones more often than they occur\n"
        "(by the logarithm of their frequency), and the generator pays when it writes another. Numbers are told\n"
        "by a mode of their column and the place in it. The critic judges ten rows at once, as a Wasserstein\n"
        "critic with gradient penalty.",
        formula="alpha = (c - mean_k) / (4 sd_k), k ~ P(mode | c); L_G = -E D(G(z, m), m) + CE(m, row), pac 10",
        build=partial(
            CTGAN,
            objective="wasserstein",
            lipschitz="gradient-penalty",
            strength=10.0,
            pac=10,
            width=128,
            rate=1e-3,
            betas=(0.5, 0.9),
            optimizer="adamw",
            noise=128,
        ),
        likelihood="none",
        serves=SERVES,
        training={"steps": 3000, "batch_size": 200, "ema": 0.999, "patience": 20},
    ),
]
