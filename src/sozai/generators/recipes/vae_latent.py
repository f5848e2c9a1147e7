"""Autoencoders whose latent is more than one vector of a standard normal: codes, hierarchies, diffused latents."""

from __future__ import annotations

from typing import Any

from sozai.fields import Fields
from sozai.generators.families.hierarchical import Hierarchical
from sozai.generators.families.latent import LatentDiffusion
from sozai.generators.families.quantised import Quantised
from sozai.generators.recipes.recipe import Recipe

SERVES = ("continuous", "categorical", "periodic", "rotation", "image", "sequence")


def _vq_vae(fields: Fields, conditions: Fields | None = None, **settings: Any) -> Quantised:
    return Quantised(fields, conditions, **({"levels": 1} | settings))


def _vq_vae_2(fields: Fields, conditions: Fields | None = None, **settings: Any) -> Quantised:
    return Quantised(fields, conditions, **({"levels": 2, "judge": bool(conditions)} | settings))


def _nvae(fields: Fields, conditions: Fields | None = None, **settings: Any) -> Hierarchical:
    return Hierarchical(fields, conditions, **settings)


def _lsgm(fields: Fields, conditions: Fields | None = None, **settings: Any) -> LatentDiffusion:
    return LatentDiffusion(fields, conditions, **settings)


RECIPES = [
    Recipe(
        name="vq-vae",
        title="Vector-quantised variational autoencoder",
        family="vae",
        paper="van den Oord, Vinyals, Kavukcuoglu, NeurIPS 2017, arXiv 1711.00937",
        idea="The encoder's vectors are replaced by the nearest of a codebook, with the decoder's gradient copied\n"
        "past the choice, so that a row is a short grid of codes. The codebook follows by running means, a\n"
        "k-means that goes on during training; codes hardly used start again. A causal transformer, learned\n"
        "beside, is the prior of the codes and takes the conditions.",
        formula="L = -log p(x|q) + ||sg z - e||^2 + 0.25 ||z - sg e||^2, q = z + sg(e - z);\n"
        "log p(x) >= log p(x|c(x)) + log p(c(x))",
        build=_vq_vae,
        likelihood="bound",
        serves=SERVES,
        training={"steps": 1500, "batch_size": 64, "patience": 20},
        numbers=(
            "digits 8x8, bound in bits/dim on held-out rows: - | 2.30",
            "concrete (9 columns), bound in nats: - | -47.5",
        ),
    ),
    Recipe(
        name="vq-vae-2",
        title="Hierarchical vector-quantised variational autoencoder",
        family="vae",
        paper="Razavi, van den Oord, Vinyals, NeurIPS 2019, arXiv 1906.00446",
        idea="A VQ-VAE with two or more grids of codes: the coarse one holds what is global, the fine one, whose\n"
        "encoder already knows the coarse one, holds what is left. Each has its prior, the fine one's given\n"
        "the coarse codes. With conditions, samples can be picked by a classifier (keep=0.5).",
        formula="q_l = quantise(z_l(h_l, d_{l+1})), d_l = decode(q_l, d_{l+1});\n"
        "p(c) = p(c_top | y) p(c_bottom | c_top, y)",
        build=_vq_vae_2,
        likelihood="bound",
        serves=SERVES,
        training={"steps": 1500, "batch_size": 64, "patience": 20},
        numbers=(
            "digits 8x8, bound in bits/dim on held-out rows: - | 2.50",
            "squared error of 2 levels over 1 at 80 bits each (toy of shades and tiles): below 1 | 0.41",
        ),
    ),
    Recipe(
        name="nvae",
        title="Nouveau VAE",
        family="vae",
        paper="Vahdat, Kautz, NeurIPS 2020, arXiv 2007.03898",
        idea="Many groups of latents on maps from coarse to fine. Features go up once, then prior and posterior go\n"
        "down together, the posterior told as a shift and stretch of the prior. Depthwise cells with batch\n"
        "norm, swish and squeeze-excitation; a penalty of the weights' largest singular values keeps the KL\n"
        "bounded, and balancing keeps all groups in use while the KL is faded in.",
        formula="q(z_l|z_<l,x) = N(mu + dmu, sigma dsigma); KL = (dmu^2/sigma^2 + dsigma^2 - log dsigma^2 - 1) / 2",
        build=_nvae,
        likelihood="bound",
        serves=SERVES,
        training={"steps": 1500, "batch_size": 64, "patience": 20},
        numbers=(
            "digits 8x8, bound in bits/dim on held-out rows: - | 1.83",
            "concrete (9 columns), bound in nats: - | -39.5",
        ),
    ),
    Recipe(
        name="lsgm",
        title="Latent score-based generative model",
        family="vae",
        paper="Vahdat, Kreis, Kautz, NeurIPS 2021, arXiv 2106.05931",
        idea="A VAE whose prior is a diffusion of the latent, learned with it from one bound: the KL becomes minus\n"
        "the posterior's entropy plus its cross-entropy with the prior, which is denoising score matching.\n"
        "The score is that of a standard normal with a learned share of a network's mixed in.",
        formula="L = -log p(x|z) - H(q(z|x)) + CE(q||p); CE = E_t w/2 ||eps - eps_hat||^2 + const;\n"
        "eps_hat = sigma (1 - a) z + a eps'(z, t)",
        build=_lsgm,
        likelihood="bound",
        serves=SERVES,
        training={"steps": 3000, "batch_size": 128, "patience": 20},
        numbers=(
            "digits 8x8, bound in bits/dim on held-out rows: - | 1.92 (16 latents: 1.89)",
            "concrete (9 columns), bound in nats: - | -36.9",
        ),
    ),
]
