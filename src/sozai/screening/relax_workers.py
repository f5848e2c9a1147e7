"""Relaxation over processes, one thread each.

A worker is ``python -m sozai.screening.relax_workers``: it loads the potential once, asks its parent for crystals
over its standard input and output, and sends each outcome as it ends. It needs no guard in the user's script
(nothing of the caller is imported again), does not see Ctrl-C, and ends by itself when its parent is gone.
"""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from sozai.errors import UserError
from sozai.screening.potentials import Cell
from sozai.screening.relax_batch import TIME_LIMIT, Outcome, not_started

GRACE = 10.0  # seconds after the deadline in which a worker may still hand over what it holds
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class _Worker:
    """One worker process and the thread that serves it."""

    def __init__(
        self,
        tasks: collections.deque[tuple[int, Cell]],
        done: queue.Queue[tuple[str, Any]],
        settings: dict[str, Any],
    ):
        self.tasks, self.done = tasks, done
        self.held: dict[int, Cell] = {}
        self.late = False
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by end)
        source = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "PYTHONPATH": path, **dict.fromkeys(THREAD_VARIABLES, "1")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sozai.screening.relax_workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the workers
        )
        self.settings = settings
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        """Answer the worker until it ends; report what it held if it ends too early."""
        assert self.process.stdin is not None and self.process.stdout is not None
        reason = ""
        try:
            _send(self.process.stdin, self.settings)
            while True:
                word, value = pickle.load(self.process.stdout)
                if word == "want":
                    _send(self.process.stdin, self._take(value))
                elif word == "done":
                    index, outcome = value
                    del self.held[index]
                    self.done.put(("done", (index, outcome)))
                elif word == "error":
                    self.done.put(("error", value))
        except (EOFError, OSError, pickle.UnpicklingError):
            code = self.process.wait()
            if code != 0:
                self.errors.seek(0)
                lines = self.errors.read().decode(errors="replace").strip().splitlines()
                reason = lines[-1] if lines else f"exit code {code}; out of memory?"
        for index, cell in self.held.items():
            self.done.put(("done", (index, not_started(cell, f"the worker process ended unexpectedly ({reason})"))))
        self.done.put(("ended", reason))

    def _take(self, count: int) -> list[tuple[int, Cell]]:
        """Up to ``count`` crystals (all that are left if negative) from the common store."""
        taken: list[tuple[int, Cell]] = []
        while len(taken) < count or count < 0:
            try:
                taken.append(self.tasks.popleft())
            except IndexError:
                break
        self.held.update(taken)
        return taken

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()
        self.thread.join(timeout=5)
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def relax_over_processes(
    cells: Sequence[tuple[int, Cell]], settings: dict[str, Any], processes: int
) -> Iterator[tuple[int, Outcome]]:
    """Yield ``(index, outcome)`` as the workers finish. Closing the iterator ends the workers.

    Args:
        cells: crystals with their index.
        settings: ``potential``, ``device``, ``fmax``, ``max_steps``, ``deadline``.
        processes: how many workers.

    Raises:
        UserError: the potential cannot be loaded.
    """
    tasks = collections.deque(cells)
    done: queue.Queue[tuple[str, Any]] = queue.Queue()
    workers: list[_Worker] = []
    try:
        for _ in range(processes):
            workers.append(_Worker(tasks, done, settings))
        waiting, alive, reason, late = len(cells), processes, "", False
        deadline = settings["deadline"]
        while waiting:
            try:
                word, value = done.get(timeout=1.0)
            except queue.Empty:
                if deadline is not None and time.monotonic() > deadline + GRACE and not late:
                    late = True
                    for worker in workers:
                        worker.late = True
                        worker.process.kill()
                continue
            if word == "error":
                raise UserError(*value)
            if word == "done":
                waiting -= 1
                yield value
                continue
            alive, reason = alive - 1, value or reason
            if alive == 0:
                while tasks:
                    index, cell = tasks.popleft()
                    waiting -= 1
                    yield index, not_started(cell, TIME_LIMIT if late else f"no worker process was left ({reason})")
    finally:
        for worker in workers:
            worker.end()


def _send(stream: BinaryIO | Any, value: Any) -> None:
    pickle.dump(value, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def main() -> None:
    """The worker's side."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    source = sys.stdin.buffer
    settings = pickle.load(source)
    parent = os.getppid()

    def more(count: int) -> list[tuple[int, Cell]]:
        _send(out, ("want", count))
        return pickle.load(source)

    import torch

    from sozai.screening import potentials
    from sozai.screening.relax_batch import relax_cells

    torch.set_num_threads(1)
    try:
        potential = potentials.load(settings.pop("potential"), settings.pop("device"))
    except UserError as error:
        _send(out, ("error", (error.what, error.where, error.mend)))
        return
    for item in relax_cells(more, potential, **settings):
        _send(out, ("done", item))
        if os.getppid() != parent:
            return


if __name__ == "__main__":
    try:
        main()
    except (EOFError, BrokenPipeError):  # the parent is gone or has what it wanted
        os._exit(0)
