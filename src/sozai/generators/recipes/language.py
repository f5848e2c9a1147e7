"""Language models of any fields, and learning from preferences."""

from __future__ import annotations

from typing import Any

from sozai.fields import Fields
from sozai.generators.core import Core
from sozai.generators.families.autoregressive import Autoregressive
from sozai.generators.families.preference import DPO, RewardModel
from sozai.generators.families.reinforcement import GRPO, PPO
from sozai.generators.recipes.recipe import Build, Recipe

SERVES = ("continuous", "categorical", "periodic", "image", "sequence")
TRAINING = {"steps": 1000, "batch_size": 64, "ema": 0.99, "patience": 8}
ALIGNED = {"steps": 100, "batch_size": 64, "ema": 0.9, "schedule": "constant"}


def _build(core: type[Core], **parts: Any) -> Build:
    def build(fields: Fields, conditions: Fields | None = None, **settings: Any) -> Core:
        return core(fields, conditions, **(parts | settings))

    return build


RECIPES = [
    Recipe(
        name="transformer",
        title="Transformer, decoder only",
        family="language",
        paper="Vaswani et al., NeurIPS 2017, arXiv 1706.03762",
        idea="Every token gathers from earlier ones what its query asks for, in several heads at once; no\n"
        "recurrence, so a whole sequence is learned from in one pass. Here the decoder without the encoder:\n"
        "layer norm after each sum, sinusoidal positions, ReLU, output tied to the embedding.",
        formula="softmax(Q K^T / sqrt(d) + causal mask) V; log p(x) = sum_i log p(t_i | t_<i)",
        build=_build(Autoregressive, norm="post", positions="sinusoidal", activation="relu", rate=1e-3),
        likelihood="exact",
        serves=SERVES,
        training=TRAINING,
    ),
    Recipe(
        name="gpt",
        title="Generative pre-trained transformer",
        family="language",
        paper="Radford, Narasimhan, Salimans, Sutskever 2018",
        idea="The transformer's decoder with learned positions and GELU, fitted to predict the next token of\n"
        "whatever can be written as tokens: text, formulas, tables (numbers as bins), images. Any field can\n"
        "then be generated, continued, or decoded under a mask of what is allowed.",
        formula="log p(x) = sum_i log p(t_i | t_<i), each p over the tokens that are legal at its place",
        build=_build(Autoregressive, norm="post", rate=1e-3),
        likelihood="exact",
        serves=SERVES,
        training=TRAINING,
        numbers=("held-out nats a row of concrete (standardised, 206 rows): - | 2.40, 13 s",),
    ),
    Recipe(
        name="gpt-2",
        title="GPT-2",
        family="language",
        paper="Radford, Wu, Child, Luan, Amodei, Sutskever 2019",
        idea="GPT with the layer norm before each part and one at the end, and residual projections that start\n"
        "smaller the deeper the network: it trains steadily at any depth. Published weights load by\n"
        "GPT.from_gpt2, with equal logits. Shown examples in its prompt, it solves tasks without training.",
        formula="x + attention(norm(x)), x + mlp(norm(x)); residual projections start at std 0.02 / sqrt(2 N)",
        build=_build(Autoregressive),
        likelihood="exact",
        serves=SERVES,
        training=TRAINING,
        numbers=(
            "logits against transformers 5.23, frozen random weights: equal | largest difference 4e-7",
            "nanoGPT CPU recipe, nats a character: 1.88 (Shakespeare) | 1.400 (help topics; transformers 1.396)",
            "accuracy with 0, 1, 2, 4, 6 examples: Bayes .50 .71 .87 .97 .99 | .53 .73 .85 .94 .98",
            "held-out bits a pixel of the digits, given the digit: - | 2.00, 75 s",
            "held-out nats a row of concrete (standardised, 206 rows): - | 2.36, 15 s",
        ),
    ),
    Recipe(
        name="reward-model",
        title="Reward model from preferences",
        family="language",
        paper="Ouyang et al., NeurIPS 2022, arXiv 2203.02155; Bradley, Terry 1952",
        idea="The fitted language model with a number at the end of a row instead of the next token, trained so\n"
        "that of each pair the preferred row scores higher. Samples are the best of several by that score.",
        formula="loss = -log sigmoid(r(w) - r(l)) over pairs where w was preferred to l",
        build=_build(RewardModel),
        likelihood="none",
        serves=SERVES,
        needs="a fitted language model and pairs of rows: RewardModel.wrap(policy), train(core, pairs(yes, no))",
        training={"steps": 300, "batch_size": 64, "ema": 0.98, "patience": 8},
        numbers=("rms error of 15 scores from 8,000 noisy judgements: statistical limit about .06 | .07",),
    ),
    Recipe(
        name="dpo",
        title="Direct preference optimisation",
        family="language",
        paper="Rafailov et al., NeurIPS 2023, arXiv 2305.18290",
        idea="No reward model and no sampling: the policy's own log-ratio to the reference is the reward, and\n"
        "the Bradley-Terry loss of pairs is minimal at the policy that reinforcement learning would reach.",
        formula="loss = -log sigmoid(beta (log pi/ref (w) - log pi/ref (l))); optimum ref exp(r / beta) / Z",
        build=_build(DPO),
        likelihood="exact",
        serves=SERVES,
        needs="a fitted language model and pairs of rows: DPO.wrap(policy), train(core, pairs(yes, no))",
        training={"steps": 300, "batch_size": 64, "ema": 0.98, "patience": 8},
        numbers=("KL(pi | pi*) on 15 texts, 20,000 judgements: 0 | .006",),
    ),
    Recipe(
        name="grpo",
        title="Group-relative policy optimisation",
        family="language",
        paper="Shao et al. 2024, arXiv 2402.03300",
        idea="The model writes groups of rows; those better than their group's mean become likelier. No value\n"
        "network. As published, rewards are divided by the group's standard deviation, which changes what\n"
        "is converged to; normalise=False, kl='reward' has PPO's fixed point.",
        formula="A_i = (r_i - mean) / std; loss = -min(ratio A, clip(ratio) A) + beta (ref/pi - log ref/pi - 1)",
        build=_build(GRPO),
        likelihood="exact",
        serves=SERVES,
        needs="a fitted language model and a reward: core = GRPO.wrap(policy), core.reward = ..., train(core, rows)",
        training=ALIGNED,
        numbers=(
            "KL(pi | pi*) on 15 texts, normalise=False, kl=reward: 0 | .0002",
            "share of sound formulas, 80 turns of 256: 55.4% before | 95.6% at KL 1.62 (least possible at 100%: .59)",
        ),
    ),
    Recipe(
        name="ppo",
        title="Proximal policy optimisation of a language model",
        family="language",
        paper="Schulman et al. 2017, arXiv 1707.06347; Ouyang et al. 2022, arXiv 2203.02155",
        idea="The model writes rows, a reward (a function, or a fitted reward-model) judges them, and the KL to\n"
        "the model it started from counts at each token. A second network predicts what is still to come,\n"
        "so that only surprises teach; the clipped ratio lets rows serve several updates.",
        formula="max E r - beta KL(pi | ref) by -min(ratio A, clip(ratio) A), A by GAE; optimum ref exp(r / beta) / Z",
        build=_build(PPO),
        likelihood="exact",
        serves=SERVES,
        needs="a fitted language model and a reward: core = PPO.wrap(policy), core.reward = ..., train(core, rows)",
        training=ALIGNED,
        numbers=(
            "KL(pi | pi*) on 15 texts: 0 | .0002",
            "share of sound formulas, 80 turns of 256: 55.4% before | 93.8% at KL .93",
            "share of neutral toy salts and KL, 60 turns: pi* 93%, 2.06 | 91%, 2.10",
        ),
    ),
]
