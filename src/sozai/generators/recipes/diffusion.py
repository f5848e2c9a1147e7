"""Gaussian diffusion and flow matching; samplers that wrap them have recipes of their own."""

from __future__ import annotations

from typing import Any

from sozai.fields import Fields
from sozai.generators.families.diffusion import GaussianDiffusion, ProbabilityFlow
from sozai.generators.families.flow_matching import FlowMatching
from sozai.generators.recipes.recipe import Build, Recipe

SERVES = ("continuous", "categorical", "image", "sequence", "periodic", "rotation")
TRAINING = {"steps": 2000, "batch_size": 128, "ema": 0.998}


def _build(core: type[GaussianDiffusion], **parts: Any) -> Build:
    def build(fields: Fields, conditions: Fields | None = None, **settings: Any) -> GaussianDiffusion:
        return core(fields, conditions, **(parts | settings))

    return build


RECIPES = [
    Recipe(
        name="ddpm",
        title="Denoising diffusion probabilistic model",
        family="diffusion",
        paper="Ho, Jain, Abbeel, NeurIPS 2020, arXiv 2006.11239",
        idea="Data drowns in Gaussian noise over a thousand small steps. A network learns to tell the noise in a\n"
        "noised row, by plain least squares; going back step by step, each time taking a little of the told\n"
        "noise away and adding fresh noise, makes new rows. The weights of the terms of the likelihood bound\n"
        "are dropped, which serves the looks of samples better than the likelihood.",
        formula="loss = E ||eps - eps_hat(alpha_t x + sigma_t eps, t)||^2; x_s ~ N(mean q(x_s | x_t, x0_hat), beta_t)",
        build=_build(GaussianDiffusion, sampler_settings={"steps": 250}),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="improved-ddpm",
        title="Improved denoising diffusion (learned variance)",
        family="diffusion",
        paper="Nichol, Dhariwal, ICML 2021, arXiv 2102.09672",
        idea="DDPM with a second output: where the variance of each reverse step lies between its two bounds,\n"
        "learned from the likelihood bound while the mean still learns by least squares (the bound's gradient\n"
        "does not reach it). Noise grows by a cosine. Good likelihoods and samples at few steps.",
        formula="Sigma = exp(v log beta + (1 - v) log beta~); loss = L_simple + 0.001 L_vlb(stop-gradient of the mean)",
        build=_build(
            GaussianDiffusion,
            schedule="cosine",
            objective="hybrid",
            variance="learned",
            sampler_settings={"steps": 100},
        ),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="vdm",
        title="Variational diffusion model",
        family="diffusion",
        paper="Kingma, Salimans, Poole, Ho, NeurIPS 2021, arXiv 2107.00630",
        idea="In continuous time the bound on the likelihood depends on the noise schedule through its two ends\n"
        "alone. So the bound itself is trained, and the way between the ends is learned too, to make the\n"
        "bound's estimate vary least. Waves of the input tell apart neighbouring grey levels.",
        formula="-log p <= KL(q(z_1|x) || N(0,1)) - E log p(x|z_0) - 1/2 E_t lambda'(t) ||eps - eps_hat||^2",
        build=_build(
            GaussianDiffusion,
            schedule="learned",
            objective="continuous",
            variance="beta~",
            fourier="levels",
            sampler_settings={"steps": 250},
        ),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="scoreflow",
        title="Maximum likelihood training of score-based diffusion (ScoreFlow)",
        family="diffusion",
        paper="Song, Durkan, Murray, Ermon, NeurIPS 2021, arXiv 2101.09258",
        idea="Weighted by g(t)^2 the score matching loss bounds the negative log-likelihood; times are drawn so\n"
        "that all weigh alike. The same scores make a deterministic flow from data to noise, along which the\n"
        "likelihood is computed. Discrete values are spread over their bins by a learned noise.",
        formula="loss = 1/2 E_t g^2 ||score - score_hat||^2 + const;\n"
        "log p(x) = log N(x_1) + integral of div(f x - g^2/2 score)",
        build=_build(
            ProbabilityFlow, objective="likelihood", variance="beta~", sampler="heun", sampler_settings={"steps": 60}
        ),
        likelihood="exact",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="flow-matching",
        title="Conditional flow matching on straight paths",
        family="diffusion",
        paper="Lipman, Chen, Ben-Hamu, Nickel, Le, ICLR 2023, arXiv 2210.02747; Tong et al., TMLR 2024, 2302.00482",
        idea="Each row is joined to a noise by a straight line, and a network learns the mean velocity of the lines\n"
        "through a point, by least squares. Following it from noise gives rows in few steps; no simulation\n"
        "is needed in training. With coupling 'optimal' the lines of a batch are made to cross less.",
        formula="x_t = (1 - t) x_0 + t eps; loss = E ||eps - x_0 - u_hat(x_t, t)||^2; dx/dt = u_hat",
        build=_build(FlowMatching),
        likelihood="exact",
        serves=SERVES,
        training=TRAINING,
    ),
]
