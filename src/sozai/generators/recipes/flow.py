"""Normalizing flows: exact likelihood, samples in one pass."""

from __future__ import annotations

from typing import Any

from sozai.fields import Fields
from sozai.generators.families.flow import Flow
from sozai.generators.recipes.recipe import Build, Recipe

SERVES = ("continuous", "categorical", "image", "sequence")
TRAINING = {"steps": 1200, "batch_size": 128, "ema": 0.99, "patience": 15}
LARGE_BATCHES = TRAINING | {"batch_size": 256}
CONTINUOUS_TRAINING = TRAINING | {"steps": 500, "every": 25}


def _flow(**parts: Any) -> Build:
    def build(fields: Fields, conditions: Fields | None = None, **settings: Any) -> Flow:
        return Flow(fields, conditions, **(parts | settings))

    return build


RECIPES = [
    Recipe(
        name="nice",
        title="Non-linear independent components estimation",
        family="flow",
        paper="Dinh, Krueger, Bengio, ICLR workshop 2015, arXiv 1410.8516",
        idea="Half of the numbers is shifted by a network of the other half, in turn: volume is kept, so the\n"
        "determinant is free. One learned scale a dimension at the end tells how much each noise matters.",
        formula="z_a = x_a, z_b = x_b + t(x_a); then z exp(s); log p(x) = sum log logistic(z_i) + s_i",
        build=_flow(transform="additive", base="logistic"),
        likelihood="exact",
        serves=SERVES,
        training=LARGE_BATCHES,
    ),
    Recipe(
        name="realnvp",
        title="Real-valued non-volume-preserving flow",
        family="flow",
        paper="Dinh, Sohl-Dickstein, Bengio, ICLR 2017, arXiv 1605.08803",
        idea="Half of the numbers is shifted and scaled by a network of the other half, in turn. Images are\n"
        "coupled in checkerboards, squeezed, coupled by channels, and half of them leaves at each scale.\n"
        "Actnorm stands for the paper's batch normalisation of images: no running means.",
        formula="z_a = x_a, z_b = x_b exp(s(x_a)) + t(x_a); log |det| = sum s(x_a)",
        build=_flow(transform="affine", scales=2, logit=0.05, actnorm="images"),
        likelihood="exact",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="glow",
        title="Generative flow with invertible 1x1 convolutions",
        family="flow",
        paper="Kingma, Dhariwal, NeurIPS 2018, arXiv 1807.03039",
        idea="RealNVP with learned mixing: before each coupling a scale and bias set by the first batch\n"
        "(actnorm), and an invertible matrix over the channels in PLU form instead of fixed masks.\n"
        "The half that leaves an image's scale has a learned prior given the half that stays.",
        formula="z = W ((x + b) exp(l)), W = P L (U + diag s); log |det| = h w sum (l + log |s|) + coupling's",
        build=_flow(transform="affine", mixing=True, actnorm="always", scales=2, logit=0.05),
        likelihood="exact",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="maf",
        title="Masked autoregressive flow",
        family="flow",
        paper="Papamakarios, Pavlakou, Murray, NeurIPS 2017, arXiv 1705.07057",
        idea="Each number is shifted and scaled given all numbers before it, by one masked network; the order\n"
        "is reversed between layers. A better density than couplings; a sample takes a pass a number.",
        formula="z_i = x_i exp(s_i) + t_i, (s_i, t_i) = masked net(x_1 .. x_(i-1)); log |det| = sum s_i",
        build=_flow(transform="affine", autoregressive=True),
        likelihood="exact",
        serves=SERVES,
        training=LARGE_BATCHES,
    ),
    Recipe(
        name="spline-flow",
        title="Neural spline flow, rational-quadratic",
        family="flow",
        paper="Durkan, Bekasov, Murray, Papamakarios, NeurIPS 2019, arXiv 1906.04032",
        idea="Each number passes through a monotonic spline whose knots a network of the others tells: many\n"
        "modes a layer, where an affine map has none. Beyond [-5, 5] standard deviations it is the identity.\n"
        "The modern reference among flows for tables.",
        formula="z_b = RQS(x_b; widths, heights, slopes of x_a); log |det| = sum log RQS'",
        build=_flow(transform="spline", depth=4),
        likelihood="exact",
        serves=SERVES,
        training=LARGE_BATCHES,
    ),
    Recipe(
        name="cnf",
        title="Continuous normalizing flow",
        family="flow",
        paper="Chen, Rubanova, Bettencourt, Duvenaud, NeurIPS 2018, arXiv 1806.07366",
        idea="Data flow to noise along a learned velocity field; the density changes by its divergence, here\n"
        "the exact trace. No masks, no order of the numbers. Gradients by the adjoint equation.",
        formula="dx/dt = v(t, x), d log p / dt = -tr(dv/dx)",
        build=_flow(transform="continuous", trace="exact"),
        likelihood="exact",
        serves=SERVES,
        training=CONTINUOUS_TRAINING,
    ),
    Recipe(
        name="ffjord",
        title="Free-form Jacobian of reversible dynamics",
        family="flow",
        paper="Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud, ICLR 2019, arXiv 1810.01367",
        idea="A continuous flow whose trace is estimated by one random direction a solve (Hutchinson): cost no\n"
        "longer grows with the dimensions. The log-likelihood is unbiased, not exact.",
        formula="tr(dv/dx) = E_e e^T (dv/dx) e, e fixed from t = 0 to 1",
        build=_flow(transform="continuous", trace="hutchinson"),
        likelihood="exact",
        serves=SERVES,
        training=CONTINUOUS_TRAINING,
    ),
]
