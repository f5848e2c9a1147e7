"""One training loop: seeds, averaged weights, early stop, checkpoints and resume."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.generators.base import Progress

Batches = Callable[[torch.Generator], Iterable[dict[str, Tensor]]]
"""Makes one epoch of batches from a random source."""


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
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def train(
    module: nn.Module,
    batches: Batches,
    validation: Callable[[], Iterable[dict[str, Tensor]]],
    folder: Path,
    epochs: int = 60,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.05,
    ema: float = 0.995,
    patience: int = 12,
    max_seconds: float = math.inf,
    seed: int = 0,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Fit ``module.loss(batch) -> (loss, parts)``; the best averaged weights end up in ``module``.

    AdamW with a warm-up and cosine decay, gradients clipped at norm 1, weights averaged exponentially
    (``ema``), stopped early when the held-out loss of the averaged weights does not fall for ``patience``
    epochs. Every epoch a checkpoint goes to ``folder``; a later call with the same folder goes on from
    there, also after Ctrl-C.

    Returns:
        The log: epochs, losses, seconds, and whether training ended or was interrupted. Interrupted before the
        first epoch ended, ``epochs`` is empty and the module half-trained.

    Raises:
        UserError: the loss is not finite (says at which step, and what to try), or the checkpoint in ``folder``
            is damaged or of another network or seed.
    """
    target = device_of(device)
    module.to(target)
    average = copy.deepcopy(module).eval()
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=weight_decay, betas=(0.9, 0.98))
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    log: dict[str, Any] = {"epochs": [], "seconds": 0.0, "interrupted": False, "device": str(target)}
    best: dict[str, Any] = {"loss": math.inf, "epoch": -1, "weights": None}
    first = 0
    if checkpoint.exists():
        first, best, log = _resume(checkpoint, module, average, optimizer, seed)
    started = time.monotonic() - log["seconds"]
    step = len(log["epochs"]) * log.get("steps_per_epoch", 0)
    try:
        for epoch in range(first, epochs):
            if epoch - best["epoch"] > patience or log["seconds"] > max_seconds:
                break
            source = torch.Generator().manual_seed(seed * 100_003 + epoch)
            torch.manual_seed(seed * 100_003 + epoch)  # dropout
            module.train()
            total, count = 0.0, 0
            for batch in batches(source):
                for group in optimizer.param_groups:
                    group["lr"] = _rate(step, epoch, epochs, learning_rate)
                total += _step(module, average, optimizer, batch, min(ema, (2 + step) / (11 + step)), epoch)
                step, count = step + 1, count + 1
            held_out, parts = evaluate(average, validation(), target)
            _check_finite(held_out, f"on held-out data in epoch {epoch + 1} ({parts})")
            log["steps_per_epoch"] = count
            log["seconds"] = time.monotonic() - started
            log["epochs"].append({"epoch": epoch + 1, "train": total / max(count, 1), "held_out": held_out, **parts})
            if held_out < best["loss"]:
                best = {"loss": held_out, "epoch": epoch, "weights": copy.deepcopy(average.state_dict())}
            _save(checkpoint, epoch + 1, module, average, optimizer, best, log, seed)
            if on_progress:
                on_progress(epoch + 1, epochs, f"loss {total / max(count, 1):.3f}, held-out {held_out:.3f}")
    except KeyboardInterrupt:
        log["interrupted"] = True
    if best["weights"] is not None:
        module.load_state_dict(best["weights"])
    module.eval()
    log["best_epoch"] = best["epoch"] + 1
    log["best_held_out"] = best["loss"] if best["weights"] is not None else None
    (folder / "training.json").write_text(json.dumps(log, indent=1))
    return log


def _step(
    module: nn.Module, average: nn.Module, optimizer: Any, batch: dict[str, Tensor], decay: float, epoch: int
) -> float:
    """One step of the optimizer and of the averaged weights; the loss before it."""
    device = next(module.parameters()).device
    batch = {name: value.to(device) for name, value in batch.items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        loss, parts = module.loss(batch)  # type: ignore[operator]
    _check_finite(loss.item(), f"in epoch {epoch + 1} ({parts})")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        for kept, new in zip(average.parameters(), module.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)
    return loss.item()


def _check_finite(loss: float, where: str) -> None:
    if not math.isfinite(loss):
        raise UserError(
            f"the loss became {loss} {where}",
            "training",
            "try a smaller learning rate, or look for extreme values in the data",
        )


def evaluate(module: nn.Module, batches: Iterable[dict[str, Tensor]], device: torch.device) -> tuple[float, dict]:
    """Mean loss over batches and the mean of its parts, weighted by batch size."""
    module.eval()
    total, size = 0.0, 0
    parts_total: dict[str, float] = {}
    with torch.no_grad():
        for batch in batches:
            batch = {name: value.to(device) for name, value in batch.items()}
            loss, parts = module.loss(batch)  # type: ignore[operator]
            rows = len(next(iter(batch.values())))
            total, size = total + loss.item() * rows, size + rows
            for name, value in parts.items():
                parts_total[name] = parts_total.get(name, 0.0) + value * rows
    return total / size, {name: value / size for name, value in parts_total.items()}


def _rate(step: int, epoch: int, epochs: int, peak: float) -> float:
    warm = min(1.0, (step + 1) / 200)
    return peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * epoch / max(1, epochs))))


def _save(
    path: Path, epoch: int, module: nn.Module, average: nn.Module, optimizer: Any, best: Any, log: Any, seed: int
) -> None:
    state = {
        "seed": seed,
        "epoch": epoch,
        "module": module.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": best,
        "log": log,
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def _resume(
    path: Path, module: nn.Module, average: nn.Module, optimizer: Any, seed: int
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        module.load_state_dict(state["module"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first, best, log = int(state["epoch"]), dict(state["best"]), dict(state["log"])
        begun = state.get("seed", seed)
    except Exception as error:
        raise UserError(
            f"the checkpoint cannot be continued ({type(error).__name__})",
            str(path),
            "delete it to start anew, or choose another folder",
        ) from error
    if begun != seed:
        raise UserError(
            f"the training in this folder was begun with seed {begun}, not {seed}",
            str(path),
            f"go on with seed {begun}, or choose another folder",
        )
    return first, best, {**log, "interrupted": False}
