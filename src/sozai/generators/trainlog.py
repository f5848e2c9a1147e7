"""What a training leaves to read: rounds with losses, the best weights, plain-text lines, TensorBoard."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sozai.errors import UserError

clock = time.monotonic
"""What training time is measured by. Benchmarks put ``time.process_time`` here, which other programs do not change."""


class TrainingLog:
    """Rounds of one training, over all its interruptions.

    Args:
        folder: where ``training.json``, ``training.log`` and the checkpoint go; ``None``: nowhere.
        tensorboard: also write TensorBoard events there.

    Raises:
        UserError: the folder cannot be made, or TensorBoard is not installed.
    """

    def __init__(self, folder: Path | str | None, tensorboard: bool = False):
        self.folder = None if folder is None else Path(folder)
        self.checkpoint = None if self.folder is None else self.folder / "checkpoint.pt"
        self.content: dict[str, Any] = {"rounds": [], "seconds": 0.0, "interrupted": False}
        self.best_weights: dict[str, Tensor] | None = None
        self.best_loss, self.best_step, self.best_round = math.inf, 0, 0
        self._started = clock()
        self._writer: Any = None
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"the folder cannot be made ({error.strerror})", str(self.folder)) from error
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise UserError(
                    "TensorBoard is not installed", "tensorboard", "install it with: pip install tensorboard"
                ) from error
            if self.folder is None:
                raise UserError("TensorBoard needs a folder to write to", "tensorboard", "give a folder")
            self._writer = SummaryWriter(str(self.folder))  # type: ignore[no-untyped-call]

    def begin(self) -> None:
        """The clock starts, after what earlier attempts took."""
        self._started = clock() - self.content["seconds"]

    def elapsed(self) -> float:
        """Seconds of training so far, all attempts."""
        return clock() - self._started

    def round(self, step: int, train: dict[str, float], held_out: dict[str, float], average: nn.Module) -> None:
        """Note the end of a round; keeps the weights when the held-out loss is the lowest yet."""
        self.content["seconds"] = self.elapsed()
        entry: dict[str, Any] = {"step": step, "train": train}
        if held_out:
            entry["held_out"] = held_out
            if held_out["loss"] < self.best_loss:
                self.best_loss, self.best_step = held_out["loss"], step
                self.best_round = len(self.content["rounds"]) + 1
                self.best_weights = {name: value.clone() for name, value in average.state_dict().items()}
        self.content["rounds"].append(entry)
        if self.folder is not None:
            with open(self.folder / "training.log", "a", encoding="utf-8") as stream:
                stream.write(f"{self.content['seconds']:9.1f} s  step {step:7d}  {self.line()}\n")
        if self._writer is not None:
            for name, value in train.items():
                self._writer.add_scalar(f"train/{name}", value, step)
            for name, value in held_out.items():
                self._writer.add_scalar(f"held_out/{name}", value, step)

    def line(self) -> str:
        """The last round in words."""
        last = self.content["rounds"][-1]
        losses = [f"{name} {value:.4g}" for name, value in last["train"].items() if name.endswith("loss")]
        if "held_out" in last:
            losses.append(f"held-out {last['held_out']['loss']:.4g}")
        return ", ".join(losses)

    def stale(self, patience: int | None) -> bool:
        """Whether the held-out loss has not fallen for ``patience`` rounds."""
        return (
            patience is not None and self.best_round > 0 and len(self.content["rounds"]) - self.best_round >= patience
        )

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        self.content["seconds"] = self.elapsed()
        return {
            "content": self.content,
            "best": {"loss": self.best_loss, "step": self.best_step, "round": self.best_round},
            "weights": self.best_weights,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """From a checkpoint; the text log loses what came after it."""
        self.content = {**state["content"], "interrupted": False}
        self.best_loss, self.best_step = float(state["best"]["loss"]), int(state["best"]["step"])
        self.best_round, self.best_weights = int(state["best"]["round"]), state["weights"]

    def end(self, device: str) -> dict[str, Any]:
        """Write ``training.json`` and return the log."""
        log = self.content
        log["device"] = device
        log["best_step"] = self.best_step if self.best_weights is not None else None
        log["best_held_out"] = self.best_loss if self.best_weights is not None else None
        if self._writer is not None:
            self._writer.close()
        if self.folder is not None:
            (self.folder / "training.json").write_text(json.dumps(log, indent=1), encoding="utf-8")
        return log
