"""Faster samplers: each a diffusion with that sampler attached, and each able to wrap one that is fitted already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sozai.fields import Fields
from sozai.generators.core import Core
from sozai.generators.recipes.recipe import Build, Recipe

SERVES = ("continuous", "categorical", "image", "sequence", "periodic", "rotation")
TRAINING = {"steps": 3000, "batch_size": 256, "ema": 0.998}


def _sampled_by(name: str, **parts: Any) -> Build:
    def build(
        fields: Fields,
        conditions: Fields | None = None,
        *,
        sampler_settings: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Core:
        from sozai.generators.families.diffusion import GaussianDiffusion

        return GaussianDiffusion(
            fields,
            conditions,
            **({"sampler": name, "sampler_settings": parts | dict(sampler_settings or {})} | settings),
        )

    return build


RECIPES = [
    Recipe(
        name="ddim",
        title="Denoising diffusion implicit model",
        family="diffusion",
        paper="Song, Meng, Ermon, ICLR 2021, arXiv 2010.02502",
        idea="The loss of DDPM only knows the noise at each time, not how times hang together: many chains share\n"
        "it. This one need not be random: each step goes straight from the noise told to the data told,\n"
        "a first-order solver of an ODE. Twenty steps do where DDPM takes hundreds, and the same start gives\n"
        "the same sample. eta = 1 is DDPM again.",
        formula="x_s = alpha_s x0_hat + sqrt(sigma_s^2 - lam^2) eps_hat + lam z, lam = eta sqrt(beta~)",
        build=_sampled_by("ddim", steps=20),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
        sampler=True,
        numbers=("order of convergence: 1 (Euler's method) | 0.98",),
    ),
    Recipe(
        name="dp",
        title="Step times by dynamic programming",
        family="diffusion",
        paper="Watson, Ho, Norouzi, Chan, 2021, arXiv 2106.03802",
        idea="The likelihood bound of a chain is a sum over its steps, so the best K times among 200 are a\n"
        "shortest path, which dynamic programming finds exactly. All step costs follow from one curve: how\n"
        "wrong the denoiser is at each time, measured on the training data. Best for likelihood. The steps are\n"
        "drawn with Analytic-DPM's variance, which the same curve gives (beta~ is too little for large steps).",
        formula="D[k, t] = min_s D[k-1, s] + d/2 (SNR_s - SNR_t) E||x_0 - x0_hat(x_t)||^2 / d",
        build=_sampled_by("dp", steps=20),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
        sampler=True,
        numbers=(
            "ImageNet 64x64, 32 steps: within 0.1 bits/dim of 4,000 (paper) | mixture of 5 clusters, K = 10 of 200: "
            "3.1 nats against 85.8 even in time, 1.5 with all 200",
        ),
    ),
    Recipe(
        name="analytic-dpm",
        title="Analytic-DPM",
        family="diffusion",
        paper="Bao, Li, Zhu, Zhang, ICLR 2022, arXiv 2201.06503",
        idea="How much noise should a reverse step add? The best single number has a closed form in the error\n"
        "that the denoiser makes at that time, which is measured once. Between DDPM's beta~ and beta, and\n"
        "the fewer steps the more it matters.",
        formula="v* = lam^2 + (alpha_s sigma_t / alpha_t - sqrt(sigma_s^2 - lam^2))^2 (1 - E||eps_hat||^2/d)",
        build=_sampled_by("analytic-dpm", steps=20),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
        sampler=True,
        numbers=("step 0.3 to 0.1 on the mixture, variance by Monte Carlo: 0.524 | 0.522",),
    ),
    Recipe(
        name="ddss",
        title="Differentiable diffusion sampler search",
        family="diffusion",
        paper="Watson, Chan, Ho, Norouzi, ICLR 2022, arXiv 2202.05830",
        idea="A sampler of five steps in which nothing is fixed: the times, how much of each state and each\n"
        "predicted x_0 so far goes into the next, and the noise. All of it is learned by gradient descent on\n"
        "how far its samples are from the data (kernel mean discrepancy), through the whole sampler.",
        formula="x_(k-1) = sum_(j >= k) (a_kj x_j + b_kj x0_hat(x_j, t_j)) + s_k z; minimise MMD^2(samples, data)",
        build=_sampled_by("ddss", steps=5),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
        sampler=True,
        numbers=(
            "LSUN church 128, FID at 10 and 20 steps, best baseline to DDSS: 51.1 to 11.6, 14.9 to 4.82 (paper) | "
            "mixture, held-out MMD^2 at 4 steps over DDIM's: 0.04",
        ),
    ),
    Recipe(
        name="genie",
        title="Higher-order denoising diffusion solver",
        family="diffusion",
        paper="Dockhorn, Vahdat, Kreis, NeurIPS 2022, arXiv 2210.05475",
        idea="DDIM is Euler's method on an ODE; this is the second Taylor step. The derivative it needs is a\n"
        "Jacobian-vector product of the denoiser, which a small network beside it learns, so that a step\n"
        "still costs one look. Half the steps for the same error.",
        formula="xbar_s = xbar_t + h eps_hat + h^2/2 d eps_hat/d gamma, xbar = x/alpha, gamma = sigma/alpha",
        build=_sampled_by("genie", steps=10),
        likelihood="bound",
        serves=SERVES,
        training=TRAINING,
        sampler=True,
        numbers=("order of convergence: 2 | 1.96; error at 20 steps, DDIM over GENIE: - | 7.5",),
    ),
]
