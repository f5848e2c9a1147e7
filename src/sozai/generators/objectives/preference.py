"""Learning from preferences and rewards: losses, advantages, and what each of them converges to.

A policy pi is drawn to reward r without leaving the reference pi_ref: maximise E r - beta KL(pi || pi_ref). Over all
distributions the maximum is the *tilted* reference (``tilted``)::

    pi*(x) = pi_ref(x) exp(r(x) / beta) / Z

DPO's loss has pi* as its minimum where preferences follow Bradley and Terry with reward r. PPO with the KL in the
reward of each token has it as fixed point. GRPO as published does not: see ``group_advantages``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def tilted(log_reference: Tensor, reward: Tensor, beta: float) -> Tensor:
    """log pi* over enumerated outcomes: where the reference is tilted to the reward."""
    return (log_reference + reward / beta).log_softmax(-1)


def bradley_terry(chosen: Tensor, rejected: Tensor) -> Tensor:
    """-log sigmoid(r_w - r_l): the surprise that w was preferred to l, a number a pair.

    R. Bradley and M. Terry 1952; as a reward model's loss L. Ouyang et al. 2022 (arXiv 2203.02155, eq. 1).
    """
    return -F.logsigmoid(chosen - rejected)


def dpo(chosen: Tensor, rejected: Tensor, chosen_reference: Tensor, rejected_reference: Tensor, beta: float) -> Tensor:
    """Bradley and Terry's loss with the implicit reward beta log(pi / pi_ref): a number a pair.

    Arguments are log-probabilities of whole rows. R. Rafailov et al. 2023 (arXiv 2305.18290, eq. 7).
    """
    return bradley_terry(beta * (chosen - chosen_reference), beta * (rejected - rejected_reference))


def clipped(log_ratio: Tensor, advantage: Tensor, clip: float = 0.2) -> Tensor:
    """PPO's surrogate loss -min(ratio A, clip(ratio, 1 - c, 1 + c) A): a number an action.

    J. Schulman et al. 2017 (arXiv 1707.06347, eq. 7).

    Args:
        log_ratio: log pi(a) - log pi_old(a), where pi_old is what the actions were drawn from.
        advantage: of each action.
        clip: beyond a ratio of 1 +- this, a better ratio is worth nothing more.
    """
    ratio = log_ratio.exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def gae(rewards: Tensor, values: Tensor, decay: float = 0.95) -> Tensor:
    """Generalised advantage estimates without discount, ``(batch, n)``: sum of decay^k delta_{t+k}.

    delta_t = r_t + V_{t+1} - V_t, with V = 0 after the last action. J. Schulman et al. 2016 (arXiv 1506.02438).
    """
    delta = rewards + F.pad(values[:, 1:], (0, 1)) - values
    advantage = torch.zeros_like(delta)
    last = torch.zeros_like(delta[:, 0])
    for place in range(delta.shape[1] - 1, -1, -1):
        last = delta[:, place] + decay * last
        advantage[:, place] = last
    return advantage


def group_advantages(rewards: Tensor, normalise: bool = True) -> Tensor:
    """GRPO's advantages within groups ``(groups, size)`` of rows that answer the same prompt.

    ``normalise`` divides by the group's standard deviation (Z. Shao et al. 2024, arXiv 2402.03300, 4.1.2). Without,
    rewards are compared with the mean of the *other* rows (arXiv 2402.14740, 2503.20783), which has no bias.

    Fixed points, for one action a row and large groups; mu and sigma are the reward's mean and deviation under pi:

    - KL in the loss (``drift``), normalised, as published: pi = pi_ref / (1 - (r - mu) / (beta sigma)), which is not
      the tilted reference: it has heavier tails and does not change when rewards are multiplied;
    - KL in the loss, not normalised: pi = pi_ref / (1 - (r - mu) / beta);
    - KL in the reward: the tilted reference, where all advantages vanish. Normalised they stay of variance one
      however near it is, so that the policy trembles around it; not normalised it comes to rest.
    """
    size = rewards.shape[1]
    centred = rewards - rewards.mean(1, keepdim=True)
    if not normalise:
        return centred * size / max(1, size - 1)
    return centred / (rewards.std(1, keepdim=True, correction=0) + 1e-6)


def drift(log_prob: Tensor, log_reference: Tensor) -> Tensor:
    """pi_ref / pi - log(pi_ref / pi) - 1 >= 0, whose mean over pi is KL(pi || pi_ref): a number an action.

    GRPO adds it to the loss (arXiv 2402.03300, eq. 4). Its *gradient* at actions of pi is that of KL(pi_ref || pi):
    the mean of (1 - pi_ref / pi) grad log pi.
    """
    gap = log_reference - log_prob
    return gap.exp() - gap - 1
