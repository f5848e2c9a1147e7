"""Variational autoencoders with one vector of latents: likelihood as a bound, latents to look at."""

from __future__ import annotations

from typing import Any

from sozai.fields import Fields
from sozai.generators.core import Core
from sozai.generators.families.disentangled import FactorVAE, JointVAE, TotalCorrelationVAE
from sozai.generators.families.ladder import LadderVAE
from sozai.generators.families.lossy import LossyVAE
from sozai.generators.families.vae_gan import VAEGAN
from sozai.generators.families.variational import Variational
from sozai.generators.recipes.recipe import Build, Recipe

SERVES = ("continuous", "categorical", "periodic", "rotation", "image", "sequence")
TRAINING = {"steps": 2000, "batch_size": 128, "ema": 0.99, "patience": 15}


def _build(core: type[Core], **parts: Any) -> Build:
    def build(fields: Fields, conditions: Fields | None = None, **settings: Any) -> Core:
        return core(fields, conditions, **(parts | settings))

    return build


RECIPES = [
    Recipe(
        name="vae",
        title="Variational autoencoder",
        family="vae",
        paper="Kingma, Welling, ICLR 2014, arXiv 1312.6114",
        idea="An encoder guesses the latent z of each row, a decoder the row from z; both learn by a lower bound of\n"
        "the likelihood, through a draw of z that gradients pass. The noise of the decoder is learned too, so\n"
        "that rate and distortion weigh what likelihood says. New rows: z from N(0, 1) through the decoder.",
        formula="log p(x) >= E_q(z|x) log p(x|z) - KL(q(z|x) || p(z)), z = mu(x) + sigma(x) eps",
        build=_build(Variational),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="beta-vae",
        title="beta-VAE",
        family="vae",
        paper="Higgins et al., ICLR 2017; Burgess et al., arXiv 1804.03599",
        idea="The rate costs beta times as much: latents that do not earn their bits are given up, and those left\n"
        "tend to follow independent causes in the data. Reconstructions lose what they cost.",
        formula="loss = -E_q log p(x|z) + beta KL(q(z|x) || p(z)); beta = 1 is the VAE",
        build=_build(Variational, beta=4.0),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="beta-tcvae",
        title="beta-TCVAE",
        family="vae",
        paper="Chen, Li, Grosse, Duvenaud, NeurIPS 2018, arXiv 1802.04942",
        idea="The rate is information about the row + total correlation of the latents + distance of each from the\n"
        "prior. Only the total correlation is charged more, so that latents part without losing information.\n"
        "The three are estimated from a batch by stratified (or weighted) sampling of the aggregate posterior.",
        formula="loss = -E_q log p(x|z) + alpha I(x; z) + beta KL(q(z) || prod_j q(z_j))\n"
        "       + gamma sum_j KL(q(z_j) || p(z_j))",
        build=_build(TotalCorrelationVAE),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="factor-vae",
        title="FactorVAE",
        family="vae",
        paper="Kim, Mnih, ICML 2018, arXiv 1802.05983",
        idea="The total correlation of the latents is charged, as in beta-TCVAE, but measured by a second player: a\n"
        "network that tells latents from latents whose columns were shuffled gives the density ratio.",
        formula="loss = -ELBO + gamma E_q(z) log D(z) / (1 - D(z)),  D: q(z) against prod_j q(z_j)",
        build=_build(FactorVAE),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="joint-vae",
        title="JointVAE",
        family="vae",
        paper="Dupont, NeurIPS 2018, arXiv 1804.00104",
        idea="Categorical latents beside Gaussian ones, relaxed by the Gumbel-softmax: classes of the data can become\n"
        "categories without labels. The rate of each group is led along a rising capacity, so that neither is\n"
        "given up.",
        formula="loss = -E_q log p(x|z, c) + gamma |KL_z - C_z(t)| + gamma |KL_c - C_c(t)|, C_c <= sum log k",
        build=_build(JointVAE),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="vae-gan",
        title="VAE-GAN",
        family="vae",
        paper="Larsen et al., ICML 2016, arXiv 1512.09300",
        idea="A discriminator judges what the decoder makes, and its inner features say how alike a row and its\n"
        "reconstruction are: sharper images than an error by pixel gives. Three players, each of whom gets its\n"
        "own terms only.",
        formula="Enc: KL + L_feat; Dec: gamma L_feat - L_GAN; Dis: L_GAN; L_feat = |D_l(x) - D_l(x')|^2 / 2",
        build=_build(VAEGAN),
        likelihood="none",
        serves=SERVES,
        training=TRAINING | {"steps": 1000, "patience": None},
    ),
    Recipe(
        name="vlae",
        title="Variational lossy autoencoder",
        family="vae",
        paper="Chen et al., ICLR 2017, arXiv 1611.02731",
        idea="The decoder sees a small window of values before the one it predicts; z is left with what the window\n"
        "cannot tell, and the window's size sets what that is. An autoregressive flow is the prior.",
        formula="p(x|z) = prod_i p(x_i | z, x_window(i)); p(z) = N(f(z)) |det df/dz|, f autoregressive",
        build=_build(LossyVAE),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="vlae-ladder",
        title="Variational ladder autoencoder",
        family="vae",
        paper="Zhao, Song, Ermon, ICML 2017, arXiv 1702.08396",
        idea="Latents enter the decoder (and leave the encoder) at different depths under one flat prior: what is\n"
        "simple settles behind few layers, what is abstract behind many. Traversals by level show it.",
        formula="h_l = g_l(h_{l-1}), q(z_l|x) = N(mu_l(h_l), s_l(h_l)); t_l = f_l(t_{l+1}, z_l), p(x|z) = r(x; t_1)",
        build=_build(LadderVAE),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING | {"steps": 1000},
    ),
]
