"""Gaussian diffusion: data is noised step by step, and a network learns to tell the noise.

    x_t = alpha(t) x_0 + sigma(t) eps

The core *is* a denoiser (``processes.gaussian``): any sampler (``samplers``) draws from it, any guidance wraps it, and
the bounds of ``objectives.nelbo`` hold for it. What the network puts out is linear in (eps, x_0), see ``PREDICTIONS``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.codec import Codec, ImageCodec, VectorCodec, codec_for
from sozai.generators.conditions import ConditionEncoder, drop
from sozai.generators.core import Core, Likelihood, Player
from sozai.generators.networks.mlp import ResidualMLP
from sozai.generators.networks.unet import UNet
from sozai.generators.objectives import denoising, nelbo
from sozai.generators.processes import schedules
from sozai.generators.processes.dequantise import Dequantiser
from sozai.generators.processes.gaussian import spread
from sozai.generators.samplers import catalog, ode
from sozai.generators.samplers import guidance as guiding
from sozai.generators.samplers.base import Sampler
from sozai.generators.samplers.completion import Completion
from sozai.generators.tensors import Batch, rows_of

OBJECTIVES = ("simple", "hybrid", "vlb", "continuous", "likelihood", "velocity")
CONTINUOUS = ("continuous", "likelihood", "velocity")
"""Those that train at all times, not only on the chain."""
PREDICTIONS = ("eps", "x0", "v", "velocity")
"""The noise, the data, v = alpha eps - sigma x_0 (arXiv 2202.00512), or dx_t/dt = alpha' x_0 + sigma' eps."""


class GaussianDiffusion(Core, denoising.LearningDenoiser):
    """Diffusion with a bound on the likelihood.

    Args:
        schedule: of the noise, see ``processes.schedules``.
        objective: see ``objectives.denoising``.
        prediction: see ``PREDICTIONS``.
        steps: of the discrete chain on which "simple", "hybrid" and "vlb" train.
        variance: of the reverse step: "beta", "beta~" or "learned" (which "hybrid" and "vlb" train).
        width, layers, dropout: of the network; layers are residual blocks (for images: at each resolution).
        fourier: frequencies whose sines and cosines of x the network also sees (VDM, arXiv 2107.00630, app. C);
            ``"levels"``: the two that tell the levels of an image apart.
        drop_condition: how often a row's conditions are left out in training: what guidance needs.
        sampler: name in ``samplers.catalog``.
        sampler_settings: of that sampler.
        rate: learning rate.
    """

    likelihood: ClassVar[Likelihood] = "bound"

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        schedule: str = "linear",
        objective: str = "simple",
        prediction: str = "eps",
        steps: int = 1000,
        variance: str = "beta",
        width: int | None = None,
        layers: int | None = None,
        dropout: float = 0.0,
        fourier: Sequence[float] | str = (),
        drop_condition: float = 0.1,
        sampler: str = "ancestral",
        sampler_settings: Mapping[str, Any] | None = None,
        rate: float = 1e-3,
        codec: Codec | None = None,
    ):
        super().__init__(fields, conditions, codec)
        _one_of("objective", objective, OBJECTIVES)
        _one_of("prediction", prediction, PREDICTIONS)
        _one_of("variance", variance, nelbo.VARIANCES)
        if objective in ("hybrid", "vlb") and variance != "learned":
            raise UserError(f"the objective '{objective}' trains a learned variance", "variance", "set it to 'learned'")
        if steps < 2 or not 0 <= drop_condition < 1:
            raise UserError("steps must be 2 or more, drop_condition from 0 to below 1", "diffusion")
        self.objective, self.prediction, self.steps, self.variance_kind = objective, prediction, int(steps), variance
        self.drop_condition, self.fourier = drop_condition, frequencies(fourier, self.codec)
        self.players = (Player("model", rate=rate),)
        self.choices = [span.columns for span in self.codec.spans if span.kind == "choice"]
        self.schedule, self.event = schedules.make(schedule), tuple(self.codec.event)
        width = width or (128 if len(self.event) == 1 else 32)
        copies = 1 + 2 * len(self.fourier)
        self.condition = ConditionEncoder(self.conditions, width)
        self.net = backbone(self.event, copies, 2 if variance == "learned" else 1, width, layers, True, dropout)
        if objective == "vlb":
            self.moments = denoising.SecondMoments(self.steps)
        chosen = {"variance": variance} if sampler == "ancestral" else {}
        self.sampler = make_sampler(sampler, self.event, {**chosen, **(sampler_settings or {})})
        self._seen: tuple[Tensor, Tensor, Tensor | None, Tensor] | None = None

    # --- learning ---------------------------------------------------------------------------------------------

    def parameters_of(self, player: str) -> Iterable[nn.Parameter]:
        """All but the sampler's, which are fitted afterwards."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("sampler.")]

    def prepare(self, batch: Batch) -> None:
        """Scales of fields and conditions."""
        super().prepare(batch)
        self.condition.fit(batch)

    def loss(self, batch: Batch, player: str = "model") -> Mapping[str, Tensor]:
        """Of the objective, in nats a dimension or as a mean square."""
        x = self.encode(batch)
        condition = self.encode_condition(batch, rows_of(batch), self.drop_condition if self.training else 0.0)
        return self.objective_loss(x, condition)

    def objective_loss(self, x: Tensor, condition: Tensor | None) -> Mapping[str, Tensor]:
        """On encoded data."""
        if self.objective == "simple":
            return denoising.simple(self, x, condition, self.steps)
        if self.objective in ("continuous", "likelihood"):
            return getattr(denoising, self.objective)(self, x, condition, self.codec)
        return getattr(denoising, self.objective)(self, x, condition)

    def finish(self, batch: Batch) -> None:
        """Fit the sampler, where it needs more than the denoiser."""
        with self._evaluating():
            self.sampler.fit(self, self.encode(batch), self.encode_condition(batch, rows_of(batch)))

    # --- the denoiser -----------------------------------------------------------------------------------------

    def predict(self, x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The network's raw output at x_t: it is told the noise level lambda, not t, so that schedules may change."""
        seen = self._seen
        if seen is not None and seen[0] is x and seen[1] is t and seen[2] is condition:
            return seen[3]
        inputs = [x] + [wave for f in self.fourier for wave in ((f * x).sin(), (f * x).cos())]
        level = (15 - self.schedule.log_snr(t)) / 150
        out = self.net(torch.cat(inputs, 1), level, condition)
        if not torch.is_grad_enabled() and self.variance_kind == "learned":
            self._seen = (x, t, condition, out)  # a step asks for the mean and then for the variance
        return out

    def eps_and_share(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Noise, and where the learned variance lies between its bounds (a sigmoid keeps it there)."""
        raw = self.predict(x, t, condition)
        if self.variance_kind != "learned":
            return self._noise_of(raw, x, t), torch.zeros_like(x)
        first, second = raw.chunk(2, 1)
        return self._noise_of(first, x, t), torch.sigmoid(second)

    def eps(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """E[eps | x_t]."""
        return self.eps_and_share(x, t, condition)[0]

    def variance(self, x: Tensor, s: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Learned variance of the step from t to s, like x.

        Raises:
            UserError: none has been learned.
        """
        if self.variance_kind != "learned":
            raise UserError("this diffusion has not learned a variance", "sampler", "use variance 'beta~' or 'beta'")
        share = self.eps_and_share(x, t, condition)[1]
        return denoising.learned_log_variance(self.schedule, s, t, share).exp()

    def _noise_of(self, raw: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """eps from c_e eps + c_x x_0 = raw and alpha x_0 + sigma eps = x; for categories see ``_category_noise``."""
        alpha, sigma = spread(self.schedule.alpha(t), x), spread(self.schedule.sigma(t), x)
        if self.prediction == "eps":
            eps = raw
        elif self.prediction == "x0":
            eps = (x - alpha * raw) / sigma
        else:
            of_eps, of_x0 = alpha, -sigma
            if self.prediction == "velocity":
                of_x0, of_eps = (spread(value, x) for value in self.schedule.velocities(t))
            eps = (alpha * raw - of_x0 * x) / (alpha * of_eps - sigma * of_x0)
        return self._category_noise(eps, raw, x, alpha, sigma) if self.choices else eps

    def _category_noise(self, eps: Tensor, raw: Tensor, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """For one-hot columns Bayes' rule gives p(k | x_t) ∝ exp(alpha x_k / sigma^2) p(k | all other columns).

        The network gives the log of the second factor: at little noise nothing is left to be learned, where eps
        itself would have to be resolved to a thousandth.
        """
        eps = eps.clone()
        for columns in self.choices:
            seen = x[:, columns]
            guess = torch.softmax(raw[:, columns] + alpha / sigma**2 * seen, 1)
            eps[:, columns] = (seen - alpha * guess) / sigma
        return eps

    # --- use --------------------------------------------------------------------------------------------------

    def encode_condition(self, batch: Batch | None, rows: int, dropped: float = 0.0) -> Tensor | None:
        """(rows, width), or ``None`` where there are no conditions."""
        if not self.conditions:
            return None
        return self.condition(drop(self.condition_of(batch, rows), self.conditions, dropped))

    def sample(
        self,
        count: int,
        given: Batch | None = None,
        *,
        sampler: Sampler | str | None = None,
        steps: int | None = None,
        guidance: float = 0.0,
        project: guiding.Projection | None = None,
        known: Batch | None = None,
        **options: Any,
    ) -> Batch:
        """Draw rows.

        Args:
            given: conditions, ``count`` rows each.
            sampler: another one than the core's own, fitted to it where it needs fitting; or a name.
            steps: of the sampler.
            guidance: w of classifier-free guidance.
            project: a rule on the codec's tensor, see ``samplers.guidance`` and ``in_units``.
            known: fields of these rows that are given and stay, ``count`` rows each; the rest is completed by
                particles (``samplers.completion``), or with ``sampler`` by mere replacement.
        """
        if options:
            raise UserError(f"there is no option '{next(iter(options))}'", "sample")
        if isinstance(sampler, str):
            sampler = make_sampler(sampler, self.event, None).to(self.device).within(self.sampler)
        with self._evaluating():
            condition = self.encode_condition(given, count)
            denoiser: Any = self
            if guidance:
                if condition is None:
                    raise UserError("there are no conditions to guide to", "guidance", "leave it out")
                nothing = self.encode_condition(None, 1)
                assert nothing is not None
                denoiser = guiding.ClassifierFree(denoiser, nothing[0], guidance)
            if known:
                values, which = self._known(known, count)
                if sampler is None:
                    sampler = Completion(values, which).to(self.device).within(self.sampler)
                else:
                    denoiser = guiding.Known(denoiser, values, which)
            if project is not None:
                denoiser = guiding.Projected(denoiser, project)
            x = (sampler or self.sampler).draw(denoiser, count, condition, steps)
            batch = self.codec.decode(x)
            return {**batch, **{name: values.to(x.device) for name, values in (known or {}).items()}}

    def in_units(self, rule: guiding.Projection) -> guiding.Projection:
        """A rule on the codec's columns in the data's own units, as one on its standardised tensor."""
        if not isinstance(self.codec, VectorCodec):
            return rule
        mean, scale = self.codec.mean, self.codec.scale
        return lambda x: (rule(x * scale + mean) - mean) / scale

    def log_prob(self, batch: Batch, steps: int | None = None, draws: int = 64) -> Tensor:
        """A lower bound in nats, estimated; continuous fields as densities, categories and levels as probabilities.

        Args:
            steps: of the discrete chain that is bounded; by default the bound is that of continuous time.
            draws: noise levels at which the latter is estimated.
        """
        self._must_be_dense()
        with self._evaluating():
            x, condition = self.encode(batch), self.encode_condition(batch, rows_of(batch))
            if steps is None:
                start = 0.0 if self.objective in CONTINUOUS else 1 / self.steps
                cost = nelbo.continuous(self, x, condition, draws, self.codec, start, self.variance_kind)
            else:
                times = torch.linspace(1, 0, steps + 1, device=x.device)
                cost = nelbo.discrete(self, x, times, condition, self.variance_kind, self.codec)
            return nelbo.log_volume(self.codec).to(cost) - cost

    def _known(self, known: Batch, count: int) -> tuple[Tensor, Tensor]:
        """Encoded values (count, *event), and which entries of the event they are."""
        blank = {
            name: torch.zeros(count, *field.shape, dtype=torch.long if field.discrete else None, device=self.device)
            for name, field in self.fields.items()
        }
        strange = set(known) - set(self.fields)
        if strange:
            raise UserError(f"there is no field '{strange.pop()}'", "known", f"use {', '.join(self.fields)}")
        values = self.encode({**blank, **{name: value.to(self.device) for name, value in known.items()}})
        mask = torch.zeros(self.event, dtype=torch.bool, device=self.device)
        for span in self.codec.spans:
            mask[span.columns] |= span.field in known
        return values, mask

    def _must_be_dense(self) -> None:
        for name, field in self.fields.items():
            if field.kind in ("periodic", "rotation"):
                raise UserError(f"a {field.kind} field has no density here", f"field '{name}'", "leave it out")

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Without gradients and dropout, then as before."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self._seen = None
            self.train(training)


class ProbabilityFlow(GaussianDiffusion):
    """Diffusion whose likelihood is computed along the probability-flow ODE, exact but for the solver's error.

    Categories and levels are dequantised: their log-probability is then bounded from below.

    Args:
        dequantise: ``"uniform"`` or ``"variational"`` (learned, see ``processes.dequantise``).
        settings: of ``GaussianDiffusion``.
    """

    likelihood: ClassVar[Likelihood] = "exact"

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        dequantise: str = "variational",
        codec: Codec | None = None,
        **settings: Any,
    ):
        super().__init__(fields, conditions, codec=codec or codec_for(fields, dequantise=True), **settings)
        _one_of("dequantise", dequantise, ("uniform", "variational"))
        discrete = any(field.discrete or (field.levels and len(self.event) > 1) for field in self.fields.values())
        self.dequantiser = None
        if discrete and dequantise == "variational":
            width = 32 if len(self.event) == 1 else 16
            self.dequantiser = Dequantiser(self.codec, lambda: backbone(self.event, 2, 2, width, 1, False))

    def loss(self, batch: Batch, player: str = "model") -> Mapping[str, Tensor]:
        """The objective's, less the entropy of the dequantising noise."""
        if self.dequantiser is None:
            return super().loss(batch, player)
        x, log_q = self.dequantiser(self.encode(batch))
        condition = self.encode_condition(batch, rows_of(batch), self.drop_condition if self.training else 0.0)
        parts = dict(self.objective_loss(x, condition))
        noise = log_q.mean() / x[0].numel()
        return {**parts, "loss": parts["loss"] + noise, "dequantisation": noise.detach()}

    def log_prob(
        self, batch: Batch, steps: int | None = None, draws: int = 1, probes: int | None = None, bound: bool = False
    ) -> Tensor:
        """Log-density in nats.

        Args:
            steps: of the ODE's solver (40).
            draws: of the dequantising noise, averaged.
            probes: of Hutchinson's trace estimate; 0 computes the trace, the default up to 16 dimensions.
            bound: give the variational bound instead, as other diffusions do.
        """
        self._must_be_dense()
        total = torch.zeros(rows_of(batch), device=self.device)
        with self._evaluating():
            condition = self.encode_condition(batch, rows_of(batch))
            for _ in range(draws):
                x, log_q = self.encode(batch), torch.zeros_like(total)
                if self.dequantiser is not None:
                    x, log_q = self.dequantiser(x)
                if bound:
                    density = -nelbo.continuous(self, x, condition, 64)
                else:
                    density = ode.log_prob(self, x, condition, steps or 40, probes)
                total = total + (density - log_q) / draws
            return total + self.codec.log_volume().to(total)


def backbone(
    event: tuple[int, ...],
    inputs: int,
    outputs: int,
    width: int,
    layers: int | None = None,
    timed: bool = True,
    dropout: float = 0.0,
) -> nn.Module:
    """The network for an event's shape, its output zero at first.

    Args:
        inputs, outputs: copies of the event's channels (or columns) that come in and go out.
        width: of its layers and of the condition.
    """
    channels, rest = event[0], event[1:]
    if rest:
        return UNet((inputs * channels, *rest), width, timed, width, outputs * channels, layers or 1, dropout)
    net = ResidualMLP(inputs * channels, outputs * channels, width, layers or 3, timed, dropout)
    for parameter in list(net.leave.children())[-1].parameters():
        nn.init.zeros_(parameter)
    return net


def frequencies(fourier: Sequence[float] | str, codec: Codec) -> list[float]:
    """As given, or for ``"levels"`` those whose waves are one and two levels long."""
    if not isinstance(fourier, str):
        return [float(frequency) for frequency in fourier]
    _one_of("fourier", fourier, ("levels",))
    levels = codec.field.levels if isinstance(codec, ImageCodec) else 0
    return [math.pi * (levels - 1) / 2, math.pi * (levels - 1)] if levels > 1 else []


def make_sampler(name: str, event: tuple[int, ...], settings: Mapping[str, Any] | None) -> Sampler:
    """From the catalog of samplers."""
    return catalog.make(name, event, **dict(settings or {}))


def _one_of(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"there is no {option} '{value}'", option, f"use one of {', '.join(choices)}")
