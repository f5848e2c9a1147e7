"""Commands of sozai run in processes of their own, begun now and asked for later: clients do not wait for minutes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sozai.errors import UserError
from sozai.files import output_folder

AT_ONCE = 2
"""Jobs that run beside each other: each may use all cores."""
ANSWER = "answer.json"
_NOISE = "messages.txt"
_SHOWN = 40_000
"""Characters of a result that are handed to an assistant; the whole stands in ``ANSWER``."""


@dataclass
class Job:
    """One command.

    Attributes:
        name: by which an assistant asks for it; its folder's name.
        tool: that began it.
        folder: of its files.
        process: of the command.
        begun: on the monotonic clock.
        lasted: seconds, once it has ended.
    """

    name: str
    tool: str
    folder: Path
    process: subprocess.Popen[bytes]
    begun: float
    lasted: float = 0.0
    cancelled: bool = False
    outcome: dict[str, Any] | None = field(default=None, repr=False)


class Jobs:
    """All jobs of one server; their folders are kept when it ends, running ones are ended.

    Args:
        root: folder that holds ``sozai-runs``, with a folder for each job.
    """

    def __init__(self, root: Path):
        self._runs = root / "sozai-runs"
        self._jobs: dict[str, Job] = {}

    def folder(self, tool: str) -> Path:
        """A new folder for a job.

        Raises:
            UserError: too many jobs run, or it cannot be made.
        """
        running = [job.name for job in self._jobs.values() if job.process.poll() is None]
        if len(running) >= AT_ONCE:
            raise UserError(
                f"{len(running)} jobs are running ({', '.join(running)})",
                tool,
                "wait for one with job_result, or end one with cancel_job",
            )
        output_folder(self._runs)
        number = 1
        while True:
            path = self._runs / f"{tool}-{number}"
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1

    def begin(self, tool: str, folder: Path, arguments: Sequence[str]) -> Job:
        """Start ``sozai`` with the arguments; ``--json`` is added.

        The command works in its empty folder, so that no word of an argument can name a file by chance, and gets no
        key of the environment: no tool asks a language model.
        """
        environment = {name: value for name, value in os.environ.items() if "API_KEY" not in name.upper()}
        end = arguments.index("--") if "--" in arguments else len(arguments)
        with open(folder / ANSWER, "wb") as out, open(folder / _NOISE, "wb") as noise:
            process = subprocess.Popen(
                [sys.executable, "-m", "sozai", *arguments[:end], "--json", *arguments[end:]],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=noise,
                start_new_session=True,
            )
        job = Job(folder.name, tool, folder, process, time.monotonic())
        self._jobs[job.name] = job
        return job

    def get(self, name: str) -> Job:
        """The job of a name.

        Raises:
            UserError: there is none.
        """
        if name not in self._jobs:
            known = ", ".join(self._jobs) or "none yet"
            raise UserError(f"there is no job '{name[:80]}'", "job", f"jobs of this server: {known}")
        return self._jobs[name]

    def ended(self, job: Job) -> bool:
        """Whether it has come to its end."""
        if job.process.poll() is None:
            return False
        job.lasted = job.lasted or time.monotonic() - job.begun
        return True

    def cancel(self, job: Job) -> None:
        """End a job as Ctrl-C would, and by force after five seconds; what it has written stays."""
        if job.process.poll() is not None:
            return
        job.cancelled = True
        for how, seconds in ((signal.SIGINT, 5.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(job.process.pid, how)
                job.process.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break

    def outcome(self, job: Job) -> dict[str, Any]:
        """What an ended job gave, shortened where it is long.

        Raises:
            UserError: the command refused, failed, or was cancelled; with its own sentence.
        """
        if job.outcome is None:
            job.outcome = _read(job)
        if set(job.outcome) == {"error"}:
            raise UserError(**job.outcome["error"])
        return job.outcome

    def close(self) -> None:
        """End all that runs."""
        for job in self._jobs.values():
            self.cancel(job)


def _read(job: Job) -> dict[str, Any]:
    with open(job.folder / ANSWER, "rb") as stream:
        text = stream.read(200 * 2**20)
    try:
        result = json.loads(text)
    except ValueError:
        if job.cancelled:
            raise UserError("was cancelled before it had a result", f"job {job.name}") from None
        raise UserError(f"failed: {_last(job.folder / _NOISE)}", f"job {job.name}") from None
    result = result if isinstance(result, dict) else {"result": result}
    if set(result) == {"error"}:
        return result
    files = sorted(path.relative_to(job.folder).as_posix() for path in job.folder.rglob("*") if path.is_file())
    shown, cut = shorten(result)
    more = {"shortened": f"long parts were left out; the whole is in {ANSWER}"} if cut else {}
    return {
        "job": job.name,
        "status": "cancelled" if job.cancelled else "finished",
        "exit_code": job.process.returncode,
        "seconds": round(job.lasted, 1),
        "files": [name for name in files if name != _NOISE][:100],
        **more,
        "result": shown,
    }


def shorten(value: Any, room: int = _SHOWN) -> tuple[Any, bool]:
    """A copy of plain JSON with fewer than so many characters: long lists and texts are cut, which is told in place.

    Returns:
        the copy, and whether anything was cut.
    """
    if len(json.dumps(value, ensure_ascii=False)) <= room:
        return value, False
    shown = value
    for items, characters in ((50, 4000), (20, 1500), (10, 600), (5, 200), (2, 80)):
        shown = _cut(value, items, characters)
        if len(json.dumps(shown, ensure_ascii=False)) <= room:
            break
    else:
        shown = json.dumps(value, ensure_ascii=False)[:room] + " ..."
    return shown, True


def _cut(value: Any, items: int, characters: int) -> Any:
    if isinstance(value, Mapping):
        return {key: _cut(item, items, characters) for key, item in value.items()}
    if isinstance(value, list):
        kept = [_cut(item, items, characters) for item in value[:items]]
        return [*kept, f"... {len(value) - items} more"] if len(value) > items else kept
    if isinstance(value, str) and len(value) > characters:
        return f"{value[:characters]} ... {len(value) - characters} more characters"
    return value


def _last(path: Path) -> str:
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - 2000, 0))
        lines = stream.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "it ended without a word"


def read_text(stream: IO[bytes], offset: int, count: int) -> str:
    """So many characters of a text file from an offset.

    Raises:
        UserError: it is no text.
    """
    stream.seek(offset)
    content = stream.read(count)
    if b"\0" in content:
        raise UserError("is no text file", mend="open it from the run folder")
    return content.decode("utf-8", "replace")
