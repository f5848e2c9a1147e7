"""Run Python that a model wrote, where it can do no harm."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from sozai.assistant.sandbox.calls import OWN, program
from sozai.errors import UserError

Isolation = Literal["kernel", "limits only"]
_STEP = 0.05
_SHOWN = 64 * 1024
"""Characters kept of what a script prints, from the end."""
_NAMES = 256
"""Files a script may leave."""


@dataclass(frozen=True)
class Ran:
    """What became of a script.

    Attributes:
        ok: it came to its end by itself, with exit code 0.
        code: exit code; negative: the signal that ended it.
        stopped: why it was ended: ``"time"``, ``"memory"``, ``"output"`` (too much written); empty otherwise.
        stdout, stderr: what it printed; the last 64 KiB of each.
        seconds: it ran, its start included.
        files: what it left in its folder, new or changed, by name.
        isolation: ``"kernel"``: no network, no other process, no file but its own folder and Python's libraries, by
            the kernel's word; ``"limits only"``: just time, memory and size were limited.
    """

    ok: bool
    code: int
    stopped: str
    stdout: str
    stderr: str
    seconds: float
    isolation: Isolation
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def problem(self) -> str:
        """Why it did not come to its end, in one sentence; empty when it did."""
        if self.ok:
            return ""
        if self.stopped:
            return {
                "time": f"the script did not end within its time ({self.seconds:.0f} s)",
                "memory": "the script wanted more memory than it may have",
                "output": "the script wrote more than it may",
            }[self.stopped]
        last = self.stderr.strip().splitlines()
        return f"the script failed: {last[-1][:300]}" if last else f"the script ended with code {self.code}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; of files the names and sizes."""
        return {**asdict(self), "files": {name: len(content) for name, content in self.files.items()}}


def run_script(
    text: str,
    *,
    seconds: float = 60.0,
    memory_mb: int = 2048,
    disk_mb: int = 64,
    files: Mapping[str, str | bytes] | None = None,
    unsafe: bool = False,
) -> Ran:
    """Run a Python script in a process of its own that the kernel keeps from everything but computing.

    It starts in an empty folder with no environment but a language setting. Python's standard library and installed
    packages can be read and imported; no other file can. It has no network (no sockets at all), starts no other
    process (threads are allowed), signals nobody, changes no file outside its folder, and cannot undo any of this: on
    Linux 5.13 and later these are Landlock and seccomp, which need neither root nor containers. That a file outside
    exists, and how large it is, it can still find out.

    Elsewhere it refuses to run, unless ``unsafe``.

    Args:
        text: of the script; it runs as ``__main__``.
        seconds: of wall-clock time, the start of Python included.
        memory_mb: address space, libraries included.
        disk_mb: that it may write in all.
        files: to put into its folder before, by plain name.
        unsafe: run it even where the kernel cannot isolate it; then time, memory and size are limited and Python's
            audit hook stops accidents, no more.

    Raises:
        UserError: this machine cannot isolate it, or a file's name is none.
    """
    with tempfile.TemporaryDirectory(prefix="sozai-sandbox-") as name:
        folder = Path(name) / "work"
        folder.mkdir(mode=0o700)
        given = {_named(file): _bytes(content) for file, content in (files or {}).items()}
        given["script.py"] = _bytes(text)
        for file, content in given.items():
            (folder / file).write_bytes(content)
        with open(Path(name) / "stdout", "w+b") as out, open(Path(name) / "stderr", "w+b") as err:
            begun = time.monotonic()
            child, told = _start(folder, out, err, seconds, memory_mb, disk_mb, unsafe)
            stopped = _wait(child, folder, begun + seconds, disk_mb * 2**20)
            lasted = time.monotonic() - begun
            isolation = _isolation(told, unsafe, stopped)
            stdout, stderr = _tail(out), _tail(err)
        stopped = stopped or _why(child.returncode, stderr)
        left = _left(folder, given, disk_mb * 2**20)
    return Ran(child.returncode == 0, child.returncode, stopped, stdout, stderr, lasted, isolation, left)


def _start(
    folder: Path, out: IO[bytes], err: IO[bytes], seconds: float, memory_mb: int, disk_mb: int, unsafe: bool
) -> tuple[subprocess.Popen[bytes], int]:
    told, tell = os.pipe()
    wanted = {
        "cpu_seconds": math.ceil(seconds) + 1,
        "memory": memory_mb * 2**20,
        "file_size": disk_mb * 2**20,
        "readable": _readable(),
        "writable": [str(folder), "/dev/null"],
        "filter": program().hex(),
        "own": OWN,
        "insist": not unsafe,
        "tell": tell,
    }
    home = str(folder)
    environment = {
        "HOME": home, "TMPDIR": home, "MPLCONFIGDIR": home, "MPLBACKEND": "agg", "LANG": "C.UTF-8", "PATH": "",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
    }  # fmt: skip
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-B", str(Path(__file__).with_name("jail.py")), json.dumps(wanted)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            pass_fds=[tell],
            start_new_session=True,
        )
    finally:
        os.close(tell)
    return child, told


def _wait(child: subprocess.Popen[bytes], folder: Path, deadline: float, size: int) -> str:
    """Wait for the end; why it was brought about, if it was."""
    stopped = ""
    try:
        while child.poll() is None and not stopped:
            if time.monotonic() > deadline:
                stopped = "time"
            elif _size(folder) > size:
                stopped = "output"
            else:
                time.sleep(_STEP)
    finally:  # also on Ctrl-C
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return stopped


def _isolation(told: int, unsafe: bool, stopped: str) -> Isolation:
    with os.fdopen(told, "rb") as stream:
        done = json.loads(stream.readline() or b"{}")
    if all(done.get(door) for door in ("limits", "files", "calls")):
        return "kernel"
    if unsafe or (not done and stopped):  # without a word it had not begun to run the script
        return "limits only"
    missing = {"limits": "limits of time and memory", "files": "Landlock (files)", "calls": "seccomp (system calls)"}
    names = " and ".join(what for door, what in missing.items() if not done.get(door))
    raise UserError(
        f"this machine cannot run a model's script in isolation: it lacks {names}",
        mend="use Linux 5.13 or later, or read the script and run it yourself",
    )


def _why(code: int, stderr: str) -> str:
    if code == -signal.SIGXCPU:
        return "time"
    if code == -signal.SIGXFSZ or "OSError: [Errno 27]" in stderr:
        return "output"
    last = stderr.strip().rpartition("\n")[2]
    out_of_memory = "MemoryError" in last or "bad_alloc" in last or "Cannot allocate memory" in last
    return "memory" if code and out_of_memory else ""


def _readable() -> list[str]:
    """Python, its packages and the system's libraries; nothing of a person's."""
    own = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    own += [os.path.join(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix)]
    own += [os.path.join(sys.prefix, "pyvenv.cfg"), str(Path(__file__).with_name("jail.py"))]
    system = [
        "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/usr/share/fonts",
        "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom", "/sys/devices/system/cpu",
    ]  # fmt: skip
    home = Path.home().resolve()
    return [path for path in dict.fromkeys([*own, *system]) if not home.is_relative_to(Path(path).resolve())]


def _size(folder: Path) -> int:
    """Bytes under a folder, links not followed; what vanishes meanwhile counts nothing."""
    total, todo = 0, [str(folder)]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
                    total += 512  # an empty file or folder costs something too
        except OSError:
            continue
    return total


def _left(folder: Path, given: Mapping[str, bytes], size: int) -> dict[str, bytes]:
    """New and changed files of the folder itself; read without following what may be a link."""
    left: dict[str, bytes] = {}
    for entry in sorted(os.scandir(folder), key=lambda one: one.name)[:_NAMES]:
        if not entry.is_file(follow_symlinks=False):
            continue
        handle = os.open(entry.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as stream:
            content = stream.read(size)
        if given.get(entry.name) != content:
            left[entry.name] = content
    return left


def _tail(stream: IO[bytes]) -> str:
    length = stream.seek(0, os.SEEK_END)
    stream.seek(max(length - _SHOWN, 0))
    return stream.read().decode("utf-8", "replace")


def _named(file: str) -> str:
    if file != os.path.basename(file) or file in ("", ".", "..", "script.py") or "\0" in file:
        raise UserError("a file for a script has a plain name, and not 'script.py'", repr(file))
    return file


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "replace")
