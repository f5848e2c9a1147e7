"""Generative adversarial networks: samples in one pass, no likelihood."""

from __future__ import annotations

from typing import Any

from sozai.fields import Fields
from sozai.generators.families.adversarial import Adversarial
from sozai.generators.families.cyclegan import CycleGAN
from sozai.generators.recipes.recipe import Build, Recipe

SERVES = ("continuous", "categorical", "periodic", "rotation", "image", "sequence")
TRAINING = {"steps": 3000, "batch_size": 256, "ema": 0.999}
"""No patience: a game swings until its rates fall, and the best of all rounds is kept anyway."""
GAME = {"network": "mlp", "rate": 1e-3, "lipschitz": "r1"}
"""The game of 2014 with a penalty on the critic's slope at data, without which it need not converge (arXiv 1801.04406);
``lipschitz="none"`` leaves it out."""


def _gan(**parts: Any) -> Build:
    def build(fields: Fields, conditions: Fields | None = None, **settings: Any) -> Adversarial:
        return Adversarial(fields, conditions, **(parts | settings))

    return build


RECIPES = [
    Recipe(
        name="gan",
        title="Generative adversarial network",
        family="gan",
        paper="Goodfellow et al., NeurIPS 2014, arXiv 1406.2661",
        idea="A generator turns noise into data, a critic tells generated from real, and each learns against the\n"
        "other. The best critic knows the ratio of the two densities; the generator follows its slope. The\n"
        "generator's loss is the non-saturating one. The weights kept are averaged ones, those whose samples\n"
        "come closest to held-out data (energy distance): the game's losses do not tell.",
        formula="max_D E log D(x) + E log(1 - D(G(z))); G: min -E log D(G(z)); D* = p / (p + p_G)",
        build=_gan(**GAME),
        likelihood="none",
        serves=SERVES,
        training=TRAINING,
        numbers=(
            "ring of 8 Gaussians, 1,500 steps, modes found and share within 3 sd: - | 8, 73% (one seed)",
            "grid of 25, 3,000 steps, modes: - | 25 (one seed)",
        ),
    ),
    Recipe(
        name="cgan",
        title="Conditional generative adversarial network",
        family="gan",
        paper="Mirza, Osindero, 2014, arXiv 1411.1784",
        idea="Generator and critic both see the conditions, categories or numbers (a wanted strength), so that the\n"
        "critic refuses what is real but does not fit them. A tenth of the rows is shown without, so that\n"
        "any condition can be left out.",
        formula="max_D E log D(x, y) + E log(1 - D(G(z, y), y))",
        build=_gan(**GAME),
        likelihood="none",
        serves=SERVES,
        training=TRAINING,
        numbers=("concrete, mean |strength by a forest - strength asked for|, MPa: - | 6.3 (real rows 4.0; one seed)",),
    ),
    Recipe(
        name="dcgan",
        title="Deep convolutional GAN",
        family="gan",
        paper="Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434",
        idea="The GAN for images: strided and transposed convolutions instead of pooling and dense layers, batch\n"
        "norm in both networks but at their image ends, ReLU and tanh in the generator, LeakyReLU in the\n"
        "critic, weights started at N(0, 0.02), Adam with a small momentum. Also in three dimensions.",
        formula="the GAN's game; G: z -> 4x4 maps -> doubled until the image; D its mirror image",
        build=_gan(network="convolutional", rate=2e-4, betas=(0.5, 0.999)),
        likelihood="none",
        serves=("image",),
        training=TRAINING | {"steps": 3000, "batch_size": 64},
        numbers=("digits, energy distance on 20 components, 2,000 steps: - | 0.0032 (real rows -0.0008; one seed)",),
    ),
    Recipe(
        name="wgan",
        title="Wasserstein GAN",
        family="gan",
        paper="Arjovsky, Chintala, Bottou, ICML 2017, arXiv 1701.07875",
        idea="The critic is no classifier but a function of bounded slope, kept so by clipping its weights; the\n"
        "largest gap that it opens is a multiple of the Wasserstein-1 distance, which has a slope even where\n"
        "data and samples do not overlap. Five critic steps for one of the generator, RMSProp.",
        formula="max_{|w| <= c} E f_w(x) - E f_w(G(z)), c = 0.01",
        build=_gan(objective="wasserstein", lipschitz="clip", critic_steps=5, optimizer="rmsprop", rate=5e-4),
        likelihood="none",
        serves=SERVES,
        training=TRAINING | {"batch_size": 64},
        numbers=("ring of 8 Gaussians, 1,000 steps, modes found and share within 3 sd: - | 8, 5% (one seed)",),
    ),
    Recipe(
        name="wgan-gp",
        title="Wasserstein GAN with gradient penalty",
        family="gan",
        paper="Gulrajani et al., NeurIPS 2017, arXiv 1704.00028",
        idea="WGAN whose critic is kept 1-Lipschitz by a penalty on its slope along lines from real to generated\n"
        "rows instead of clipping. No batch norm in the critic, as the penalty is of single rows. The factor 10\n"
        "is that of images; numbers get 0.1, as with 10 modes of narrow clusters are lost.",
        formula="max_f E f(x) - E f(G(z)) - 10 E (|grad f(u x + (1 - u) G(z))| - 1)^2, u ~ U(0, 1)",
        build=_gan(
            objective="wasserstein",
            lipschitz="gradient-penalty",
            critic_steps=5,
            normalisation=("batch", "none"),
            rate=1e-3,
        ),
        likelihood="none",
        serves=SERVES,
        training=TRAINING | {"batch_size": 64},
        numbers=(
            "digits, energy distance on 20 components, 400 steps: - | 0.0034 (real rows -0.0009; one seed)",
            "ring of 8 Gaussians, 10 s, modes found: - | 8; with the images' factor of 10 2 (one seed each)",
        ),
    ),
    Recipe(
        name="cyclegan",
        title="Cycle-consistent GAN",
        family="gan",
        paper="Zhu, Park, Isola, Efros, ICCV 2017, arXiv 1703.10593",
        idea="Translates between two domains (two image or number fields of one shape) without pairs: two\n"
        "generators against two least-squares critics, and there and back again must lead to the start. For\n"
        "images a residual translator and a critic of patches; critics also see a pool of past translations.",
        formula="LS(G, D_b) + LS(F, D_a) + 10 (E |F G a - a|_1 + E |G F b - b|_1)",
        build=lambda fields, conditions=None, **settings: CycleGAN(fields, conditions, **settings),
        likelihood="none",
        serves=("continuous", "image"),
        conditional=False,
        sets=2,
        needs="two sets, between which it translates (--data twice; sozai generate RUN --translate PATH)",
        training=TRAINING | {"steps": 2000, "batch_size": 64},
    ),
    Recipe(
        name="pacgan",
        title="Packed GAN",
        family="gan",
        paper="Lin, Khetan, Fanti, Oh, NeurIPS 2018, arXiv 1712.04086",
        idea="The critic judges several rows at once, all real or all generated, so that a lack of diversity shows\n"
        "in a single glance: the game is that of the product laws P x P and G x G, which punishes lost modes\n"
        "harder. Nothing else changes.",
        formula="max_D E log D(x_1, ..., x_m) + E log(1 - D(G(z_1), ..., G(z_m))), m = 2",
        build=_gan(**GAME, pac=2),
        likelihood="none",
        serves=SERVES,
        training=TRAINING,
        numbers=("grid of 25, 3,000 steps, modes: - | 14, fewer than our GAN (one seed)",),
    ),
]
