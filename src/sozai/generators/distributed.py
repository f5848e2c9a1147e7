"""Data-parallel training by ``torchrun``: each process takes its share of a batch, gradients are averaged.

Alone, every function does nothing. Gradients are averaged by hand rather than by DistributedDataParallel, because
a core's losses are not its ``forward`` and its players have optimizers of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import distributed as dist
from torch import nn

from sozai.errors import UserError
from sozai.generators.tensors import Batch, rows_of, take


def start() -> None:
    """Join the processes that ``torchrun`` has started; alone, nothing. Called once, by whoever is run."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number; 0 writes the files."""
    return dist.get_rank() if world() > 1 else 0


def local_rank() -> int:
    """This process's number on its machine: which GPU it takes."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def share_of(batch: Batch) -> Batch:
    """This process's rows of a batch.

    Raises:
        UserError: a batch has fewer rows than there are processes.
    """
    if world() == 1:
        return batch
    if rows_of(batch) < world():
        raise UserError(f"a batch of {rows_of(batch)} rows has none for some of {world()} processes", "batch_size")
    return take(batch, slice(rank(), None, world()))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Mean over processes."""
    if world() > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= world()


def share_weights(module: nn.Module) -> None:
    """All processes start with the weights and buffers of the first."""
    if world() > 1:
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.data, 0)


def share_buffers(module: nn.Module) -> None:
    """Buffers (running statistics, codebooks) of the first process to all."""
    if world() > 1:
        for tensor in module.buffers():
            dist.broadcast(tensor.data, 0)
