"""One training loop for all families: players in turn, averaged weights, early stop, checkpoints and resume."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sozai.errors import UserError
from sozai.generators import distributed
from sozai.generators.base import Progress, seconds_of
from sozai.generators.core import Learner, Player
from sozai.generators.rows import Rows, as_rows
from sozai.generators.tensors import Batch, rows_of, to
from sozai.generators.trainlog import TrainingLog

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
SECONDS_BETWEEN_CHECKPOINTS = 60.0


def device_of(name: str = "auto") -> torch.device:
    """``auto`` takes CUDA, else Apple MPS, else the CPU.

    Raises:
        UserError: there is no such device here.
    """
    if name != "auto":
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise UserError(f"there is no device '{name}' here", "device", "use auto or cpu") from error
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", distributed.local_rank())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def train(
    core: Learner,
    data: Batch | Rows,
    held_out: Batch | Rows | None = None,
    folder: Path | str | None = None,
    *,
    steps: int = 2000,
    batch_size: int = 128,
    every: int | None = None,
    ema: float = 0.999,
    clip: float = 1.0,
    patience: int | None = None,
    schedule: str = "cosine",
    warmup: int = 100,
    max_time: float | str = math.inf,
    seed: int = 0,
    device: str = "auto",
    tensorboard: bool = False,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Fit a core; the best averaged weights end up in it.

    A *step* is one turn of every player. Every ``every`` steps (a round) the averaged weights are judged on the
    held-out rows, a line is logged, and a checkpoint written; one is also written every minute. A later call
    with the same folder goes on from there to the same weights, after Ctrl-C or a kill. Started by ``torchrun``,
    each process takes its share of every batch and gradients are averaged.

    Args:
        core: what learns.
        data: training rows.
        held_out: rows that early stopping watches; without them the last weights are kept.
        folder: for ``checkpoint.pt``, ``training.json`` and ``training.log``; without one nothing is written.
        steps: turns in all.
        batch_size: rows a batch, over all processes.
        every: steps a round; by default a fiftieth of all, and 25 at least.
        ema: decay of the exponential average of the weights (0: none).
        clip: norm to which each player's gradient is clipped (``inf``: not).
        patience: stop when the held-out loss has not fallen for so many rounds; ``None``: never.
        schedule: of the learning rate, ``"cosine"`` (to 2% of the peak, at the last step or the end of the time) or
            ``"constant"``, after ``warmup`` steps.
        max_time: stop after this time; seconds, or ``"10m"``. Weights then depend on the machine's speed.
        seed: same seed, same weights on the same device.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; on CUDA the loss is computed in bfloat16 where it can be.
        tensorboard: also log to TensorBoard in ``folder`` (needs the package ``tensorboard``).
        on_progress: called each round.

    Returns:
        The log: ``rounds``, ``seconds``, ``best_step``, ``best_held_out``, ``interrupted``. Interrupted before
        the first round ended, ``rounds`` is empty and the core half-trained.

    Raises:
        UserError: the loss is not finite (says when, and what to try), or the checkpoint in ``folder`` is damaged
            or of another network or seed.
    """
    if schedule not in ("cosine", "constant"):
        raise UserError(f"there is no learning rate schedule '{schedule}'", "schedule", "use cosine or constant")
    for name, value in (("steps", steps), ("batch_size", batch_size)):
        if value < 1:
            raise UserError(f"{value} {name.replace('_', ' ')} cannot be trained with", name, "give 1 or more")
    budget = seconds_of(max_time)
    target = device_of(device)
    run = _Run(core.to(target), as_rows(data), batch_size, seed, ema, clip)
    watched = None if held_out is None else as_rows(held_out)
    log = TrainingLog(folder, tensorboard and distributed.rank() == 0)
    if log.checkpoint is not None and log.checkpoint.exists():
        _resume(log.checkpoint, run, log)
    else:
        torch.manual_seed(seed)
        core.prepare(to(run.rows.whole(), target))
        distributed.share_weights(core)
        run.start()
        torch.manual_seed(seed)
    if distributed.world() > 1:  # each process its own noise
        torch.manual_seed(seed * 100_003 + run.step * 101 + distributed.rank())
    every = every or max(1, steps // 50, min(25, steps // 4))
    log.begin()
    saved = time.monotonic()
    try:
        while run.step < steps and not log.stale(patience) and log.elapsed() < budget:
            run.turn(_rate(schedule, run.step, steps, warmup, log.elapsed() / budget))
            if run.step % every == 0 or run.step == steps or log.elapsed() >= budget:
                judged = _judge(run.average, watched, target, run.step) if watched is not None else {}
                distributed.share_buffers(core)
                log.round(run.step, run.means(), judged, run.average)
                _save(log.checkpoint, run, log, seed)
                saved = time.monotonic()
                if on_progress:
                    on_progress(run.step, steps, log.line())
            elif time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                _save(log.checkpoint, run, log, seed)
                saved = time.monotonic()
    except KeyboardInterrupt:
        log.content["interrupted"] = True
    if log.best_weights is not None:
        core.load_state_dict(log.best_weights)
    elif run.step and not log.content["interrupted"]:
        core.load_state_dict(run.average.state_dict())
    core.eval()
    if not log.content["interrupted"]:
        core.finish(to(run.rows.whole(), target))
    return log.end(str(target))


class _Run:
    """What changes while training goes on: weights, averages, optimizers and the place in the data."""

    def __init__(self, core: Learner, rows: Rows, batch_size: int, seed: int, ema: float, clip: float):
        self.core, self.rows, self.batch_size, self.seed, self.ema, self.clip = core, rows, batch_size, seed, ema, clip
        self.device = core.device  # asking the module each time would look through all of it
        self.average = copy.deepcopy(core).eval()
        self.optimizers = {player.name: _optimizer(core, player) for player in core.players}
        self.step = self.epoch = self.consumed = 0
        self.totals: dict[str, float] = {"turns": 0.0}
        self._stream: Iterator[Batch] | None = None
        self._weights: tuple[list[Tensor], list[Tensor]] | None = None
        self._buffers: tuple[list[Tensor], list[Tensor]] = ([], [])

    def start(self) -> None:
        """The average starts at what ``prepare`` left."""
        self.average.load_state_dict(self.core.state_dict())

    def turn(self, rate: float) -> None:
        """Each player's updates; the losses of the last of them are added to the totals."""
        report: dict[str, float] = {"turns": 1.0}
        if not self.core.training:
            self.core.train()
        for player in self.core.players:
            for _ in range(player.steps):
                losses = self._update(player, rate, self._batch())
            prefix = "" if len(self.core.players) == 1 else f"{player.name} "
            report |= {f"{prefix}{name}": value for name, value in losses.items()}
        decay = min(self.ema, (2 + self.step) / (11 + self.step))
        with torch.no_grad():
            if self._weights is None:
                self._weights = list(self.average.parameters()), list(self.core.parameters())
                self._buffers = list(self.average.buffers()), list(self.core.buffers())
            torch._foreach_lerp_(*self._weights, 1 - decay)
            for old, fresh in zip(*self._buffers, strict=True):
                old.copy_(fresh)
        for name, value in report.items():
            self.totals[name] = self.totals.get(name, 0.0) + value
        self.step += 1

    def means(self) -> dict[str, float]:
        """Losses since the last call, by player and part."""
        turns = self.totals.pop("turns")
        means = {name: value / turns for name, value in self.totals.items()}
        self.totals = {"turns": 0.0}
        return means

    def _update(self, player: Player, rate: float, batch: Batch) -> dict[str, float]:
        device, optimizer = self.device, self.optimizers[player.name]
        for group in optimizer.param_groups:
            group["lr"] = player.rate * rate
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            losses = self.core.loss(to(batch, device), player.name)
        values = {name: float(value.detach()) for name, value in losses.items()}
        _check_finite(values, f"of player '{player.name}' at step {self.step + 1}")
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        learned = [weight for group in optimizer.param_groups for weight in group["params"]]
        distributed.average_gradients(learned)
        gradients = [weight.grad for weight in learned if weight.grad is not None]
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        if not math.isfinite(norm):
            _check_finite({"gradient": math.nan, **values}, f"of player '{player.name}' at step {self.step + 1}")
        if norm > self.clip:
            torch._foreach_mul_(gradients, self.clip / norm)
        optimizer.step()
        self.core.after_step(player.name)
        return values

    def _batch(self) -> Batch:
        """The next batch of an endless shuffled stream, this process's share of it."""
        while True:
            if self._stream is None:
                source = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
                self._stream = iter(self.rows.epoch(source, self.batch_size))
                for _ in range(self.consumed):  # resumed within an epoch
                    next(self._stream)
            batch = next(self._stream, None)
            if batch is not None:
                self.consumed += 1
                return distributed.share_of(batch)
            self._stream, self.consumed, self.epoch = None, 0, self.epoch + 1


def _optimizer(core: Learner, player: Player) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {"lr": player.rate}
    if player.optimizer != "rmsprop":
        settings["betas"] = player.betas
        settings["fused"] = core.device.type in ("cpu", "cuda")  # one pass over all weights
    if player.optimizer == "adamw":
        settings["weight_decay"] = player.weight_decay
    return OPTIMIZERS[player.optimizer]([p for p in core.parameters_of(player.name) if p.requires_grad], **settings)


def _rate(schedule: str, step: int, steps: int, warmup: int, spent: float) -> float:
    """The learning rate as a share of its peak; it comes to its end with the time budget (``spent``) too."""
    warm = min(1.0, (step + 1) / max(1, min(warmup, steps // 10)))
    done = min(1.0, max(step / steps, spent))
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 1.0)


def _judge(average: Learner, rows: Rows, device: torch.device, step: int) -> dict[str, float]:
    """Held-out loss and parts of the averaged weights."""
    values = evaluate(average, rows, device)
    _check_finite(values, f"on held-out rows at step {step}")
    return values


def evaluate(core: Learner, rows: Batch | Rows, device: torch.device | str | None = None) -> dict[str, float]:
    """Mean held-out loss over rows and its parts, weighted by batch size."""
    core.eval()
    totals: dict[str, float] = {}
    size = 0
    with torch.no_grad():
        for batch in as_rows(rows).in_order():
            count = rows_of(batch)
            size += count
            for name, value in core.held_out_loss(to(batch, core.device if device is None else device)).items():
                totals[name] = totals.get(name, 0.0) + float(value) * count
    return {name: value / max(size, 1) for name, value in totals.items()}


def _check_finite(losses: dict[str, float], where: str) -> None:
    bad = next((name for name, value in losses.items() if not math.isfinite(value)), None)
    if bad is not None:
        parts = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
        raise UserError(
            f"the {bad} {where} is {losses[bad]} ({parts})",
            "training",
            "try a smaller learning rate, or look for extreme values in the data",
        )


def _save(path: Path | None, run: _Run, log: TrainingLog, seed: int) -> None:
    if path is None or distributed.rank() != 0:
        return
    state = {
        "seed": seed,
        "step": run.step,
        "epoch": run.epoch,
        "consumed": run.consumed,
        "totals": run.totals,
        "core": run.core.state_dict(),
        "average": run.average.state_dict(),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in run.optimizers.items()},
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "log": log.state(),
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def _resume(path: Path | None, run: _Run, log: TrainingLog) -> None:
    """Take everything from a checkpoint."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[arg-type]
        begun = int(state["seed"])
        run.core.load_state_dict(state["core"])
        run.average.load_state_dict(state["average"])
        for name, optimizer in run.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        run.step, run.epoch, run.consumed = int(state["step"]), int(state["epoch"]), int(state["consumed"])
        run.totals = dict(state["totals"])
        log.resume(state["log"])
        randomness: Tensor = state["random"]
    except Exception as error:
        raise UserError(
            f"the checkpoint cannot be continued ({type(error).__name__})",
            str(path),
            "delete it to start anew, or choose another folder",
        ) from error
    if begun != run.seed:
        raise UserError(
            f"the training in this folder was begun with seed {begun}, not {run.seed}",
            str(path),
            f"go on with seed {begun}, or choose another folder",
        )
    torch.set_rng_state(randomness)
    if state["random_cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["random_cuda"])
