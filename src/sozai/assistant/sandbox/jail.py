"""Runs in the child, by its path: shuts the doors, then runs ``script.py`` of the working directory.

Standard library only. What it could do it says in one line of JSON on a pipe that the script never sees.
"""

import ctypes
import errno
import json
import os
import resource
import runpy
import signal
import struct
import sys
import traceback
from typing import Any

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # landlock, the same number on all machines
_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_MAKE_FILE, _MAKE_FOLDER, _REMOVE_FILE, _REMOVE_FOLDER, _TRUNCATE = 1 << 8, 1 << 7, 1 << 5, 1 << 4, 1 << 14
_BY_VERSION = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 4: 1 << 15}  # first bit of a right this version does not know
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER, _DIE_WITH_PARENT, _DROP = 38, 22, 2, 1, 24
_CAPSET = {"x86_64": 126, "aarch64": 91, "arm64": 91}


def main() -> None:
    """Shut the doors as ``argv[1]`` says, tell what was shut, and run the script."""
    wanted = json.loads(sys.argv[1])
    limits = {
        resource.RLIMIT_CPU: wanted["cpu_seconds"],
        resource.RLIMIT_AS: wanted["memory"],
        resource.RLIMIT_FSIZE: wanted["file_size"],
        resource.RLIMIT_NOFILE: 128,
        resource.RLIMIT_CORE: 0,
    }
    done = {"limits": True, "files": False, "calls": False}
    for kind, value in limits.items():
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):
            done["limits"] = False
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        library.prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        quiet = library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
        done["files"] = quiet and _files(library, wanted["readable"], wanted["writable"]) and _outside_is_shut()
        _capabilities(library)
        own = struct.pack("=I", wanted["own"]), struct.pack("=I", os.getpid())
        done["calls"] = (
            quiet and _calls(library, bytes.fromhex(wanted["filter"]).replace(*own)) and _calls_are_shut(library)
        )
    if not wanted["insist"]:
        _audit(done)
    os.write(wanted["tell"], json.dumps(done).encode())
    os.close(wanted["tell"])
    if wanted["insist"] and not all(done.values()):
        return
    sys.argv[:] = ["script.py"]
    try:
        runpy.run_path("script.py", run_name="__main__")
    except Exception as error:
        place = error.__traceback__  # told from the script's own first line on: ours are of no use to who mends it
        while place is not None and place.tb_frame.f_code.co_filename != "script.py":
            place = place.tb_next
        traceback.print_exception(error.with_traceback(place))
        sys.exit(1)


def _files(library: Any, readable: list[str], writable: list[str]) -> bool:
    """Landlock: what is not named can be neither read nor changed."""
    version = library.syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    known = _BY_VERSION.get(version, 1 << 16) - 1
    rules = library.syscall(_CREATE, struct.pack("=Q", known), ctypes.c_size_t(8), 0)
    if rules < 0:
        return False
    look = _READ | _LIST
    change = look | _WRITE | _MAKE_FILE | _MAKE_FOLDER | _REMOVE_FILE | _REMOVE_FOLDER | _TRUNCATE
    for paths, rights in ((readable, look), (writable, change)):
        for path in paths:
            try:
                handle = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
            except OSError:
                continue  # not on this machine
            granted = rights & known if os.path.isdir(path) else rights & known & (_READ | _WRITE | _TRUNCATE)
            failed = library.syscall(_ADD, rules, 1, struct.pack("=Qi", granted, handle), 0)
            os.close(handle)
            if failed:
                return False
    held = library.syscall(_RESTRICT, rules, 0) == 0
    os.close(rules)
    return held


def _capabilities(library: Any) -> None:
    """Root without its powers; of anyone else there are none to drop."""
    for capability in range(64):
        library.prctl(_DROP, capability, 0, 0, 0)
    number = _CAPSET.get(os.uname().machine)
    if number is not None:
        library.syscall(number, struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", *[0] * 6))


def _calls(library: Any, program: bytes) -> bool:
    """Seccomp: the filter holds for this process and all its threads, for good."""
    if not program:
        return False
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    given = Program(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    return bool(library.prctl(_SECCOMP, _FILTER, ctypes.byref(given), 0, 0) == 0)


def _outside_is_shut() -> bool:
    """Not believed but tried: the folder around the script's own cannot be listed."""
    try:
        os.listdir("..")
    except PermissionError:
        return True
    return False


def _calls_are_shut(library: Any) -> bool:
    """Not believed but tried: no socket, no signal to the parent (signal 0 does nothing)."""
    for call in (lambda: library.socket(1, 1, 0), lambda: library.kill(os.getppid(), 0)):
        ctypes.set_errno(0)
        if call() != -1 or ctypes.get_errno() != errno.EPERM:
            return False
    return True


def _audit(done: dict[str, bool]) -> None:
    """Where the kernel cannot help: Python's own hook. It stops accidents, not a script that wants out."""
    if done["calls"]:
        return
    closed = (
        "socket.",
        "subprocess.",
        "os.system",
        "os.exec",
        "os.fork",
        "os.posix_spawn",
        "os.kill",
        "ctypes.",
        "pty.",
    )

    def refuse(event: str, _: Any) -> None:
        if event.startswith(closed):
            raise PermissionError(f"{event} is not allowed here")

    sys.addaudithook(refuse)


if __name__ == "__main__":
    main()
