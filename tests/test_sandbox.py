"""Scripts that a model wrote: each way out is tried, and none is open."""

import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from sozai.assistant.sandbox import run_script
from sozai.assistant.sandbox.calls import program
from sozai.errors import UserError


def isolated() -> bool:
    try:
        return run_script("pass", seconds=20).isolation == "kernel"
    except UserError:
        return False


needs_kernel = pytest.mark.skipif(not isolated(), reason="no Landlock and seccomp on this machine")


def attempts(**scripts: str) -> str:
    """One script that tries all and prints what each gave, so that one start of Python serves many."""
    lines = ["import ctypes, os, sys, traceback", "library = ctypes.CDLL(None, use_errno=True)"]
    for name, text in scripts.items():
        body = "\n    ".join(text.splitlines())
        lines.append(f"try:\n    {body}\n    print('{name}: open')")
        lines.append(f"except Exception as error:\n    print('{name}:', type(error).__name__)")
    return "\n".join(lines)


@needs_kernel
def test_no_network_no_process_no_way_around(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        heard: list[object] = []
        threading.Thread(target=lambda: heard.append(server.accept()), daemon=True).start()
        ran = run_script(
            attempts(
                connect=f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)",
                unix="import socket\nsocket.socket(socket.AF_UNIX)",
                pair="import socket\nsocket.socketpair()",
                web=f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/', timeout=2)",
                raw="assert library.socket(2, 1, 0) >= 0",
                fork="os.fork()",
                raw_fork="assert library.fork() >= 0",
                clone="assert library.syscall(56 if os.uname().machine == 'x86_64' else 220, 17, 0, 0, 0, 0) >= 0",
                spawn="import subprocess\nsubprocess.run([sys.executable, '-c', 'pass'])",
                posix_spawn="os.posix_spawn(sys.executable, [sys.executable], {})",
                shell="assert os.system('true') == 0",
                execute="os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])",
                pool="import multiprocessing\nmultiprocessing.Pool(1)",
                signal=f"os.kill({os.getpid()}, 0)",
                namespace="assert library.unshare(0x10000000) == 0",
                trace=f"assert library.ptrace(16, {os.getpid()}, 0, 0) == 0",
                ring="assert library.syscall(425, 8, 0) >= 0 or ctypes.get_errno() != 38",
                limits="import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
                others=f"import resource\nresource.prlimit({os.getpid()}, resource.RLIMIT_CORE, (0, 0))",
            )
            + "\nimport threading\nthread = threading.Thread(target=print, args=('threads work',))\n"
            "thread.start()\nthread.join()",
            seconds=30,
        )
    assert ran.ok, ran.stderr
    assert "open" not in ran.stdout, ran.stdout
    assert ran.stdout.count(":") == 19
    assert "threads work" in ran.stdout
    assert not heard


@needs_kernel
def test_no_file_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / ".ssh" / "id_ed25519"
    secret.parent.mkdir()
    secret.write_text("private")
    before = secret.stat()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-seen")
    folder = str(secret.parent)
    ran = run_script(
        attempts(
            read=f"print(open({str(secret)!r}).read())",
            listing=f"print(os.listdir({folder!r}))",
            home="print(os.listdir(os.path.expanduser('~root')))",
            passwd="print(open('/etc/passwd').read())",
            parent="print(open(f'/proc/{os.getppid()}/environ').read())",
            itself="print(open('/proc/self/environ').read())",
            write=f"open({folder!r} + '/new', 'w')",
            change=f"open({str(secret)!r}, 'a')",
            empty=f"os.close(os.open({str(secret)!r}, os.O_RDONLY | os.O_TRUNC))",
            empty_library="import json\nos.close(os.open(json.__file__, os.O_RDONLY | os.O_TRUNC))",
            truncate=f"os.truncate({str(secret)!r}, 0)",
            remove=f"os.unlink({str(secret)!r})",
            rights=f"os.chmod({str(secret)!r}, 0o777)",
            times=f"os.utime({str(secret)!r}, (0, 0))",
            symlink=f"os.symlink({str(secret)!r}, 'link')",
            hardlink=f"os.link({str(secret)!r}, 'link')",
            move=f"os.rename({str(secret)!r}, 'mine')",
            library="import json\nopen(json.__file__, 'a')",
            up="open('../up', 'w')",
            environment="assert any('KEY' in name for name in os.environ)",
        )
        + "\nopen('mine.txt', 'w').write('kept')\nprint(open('given.txt').read())",
        files={"given.txt": "for you"},
        seconds=30,
    )
    assert ran.ok, ran.stderr
    assert "open" not in ran.stdout, ran.stdout
    assert "private" not in ran.stdout
    assert "sk-never-seen" not in ran.stdout + ran.stderr
    assert "for you" in ran.stdout
    assert dict(ran.files) == {"mine.txt": b"kept"}
    assert secret.read_text() == "private"
    assert (secret.stat().st_mode, secret.stat().st_mtime) == (before.st_mode, before.st_mtime)


@needs_kernel
@pytest.mark.parametrize(
    ("script", "stopped"),
    [
        ("while True: pass", "time"),
        ("import time\ntime.sleep(60)", "time"),
        ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", "time"),
        ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", "time"),
        ("hog = [bytes(10**7) for _ in range(1000)]", "memory"),
        ("bytearray(10**11)", "memory"),
        ("with open('big', 'wb') as stream:\n    while True: stream.write(bytes(10**6))", "output"),
        ("for i in range(10**6): open(str(i), 'wb').write(bytes(10**6))", "output"),
        ("while True: print('x' * 10**5)", "output"),
    ],
)
def test_limits(script: str, stopped: str) -> None:
    begun = time.monotonic()
    ran = run_script(script, seconds=1.0 if stopped == "time" else 20.0, memory_mb=300, disk_mb=20)
    assert (ran.ok, ran.stopped) == (False, stopped)
    assert ran.problem().startswith("the script")
    assert time.monotonic() - begun < 15
    assert len(ran.stdout) <= 64 * 1024


@needs_kernel
def test_it_computes() -> None:
    pytest.importorskip("scipy")
    ran = run_script(
        "from scipy.integrate import solve_ivp\n"
        "u = solve_ivp(lambda t, u: -u * u, (0, 1), [1.0], rtol=1e-9).y[0, -1]\n"
        "open('u.txt', 'w').write(repr(float(u)))\n",
        seconds=60,
    )
    assert ran.ok, ran.stderr
    assert float(ran.files["u.txt"]) == pytest.approx(0.5, abs=1e-6)
    assert ran.to_dict()["files"] == {"u.txt": len(ran.files["u.txt"])}


@needs_kernel
def test_a_failure_is_told_and_parts_of_a_script_are_no_shell() -> None:
    ran = run_script("raise ValueError('no root')")
    assert (ran.ok, ran.code, ran.stopped) == (False, 1, "")
    assert ran.problem() == "the script failed: ValueError: no root"
    assert run_script("import os\nos.abort()").code < 0
    assert run_script("no python").problem() == "the script failed: SyntaxError: invalid syntax"
    assert "jail.py" not in run_script("print(1)\n1 / 0").stderr
    assert run_script("print('\ud800')").code == 0  # a lone surrogate becomes a question mark
    for name in ("../out", "a/b", "", "..", "script.py", "a\0b"):
        with pytest.raises(UserError):
            run_script("pass", files={name: ""})


def test_without_isolation_it_refuses_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sozai.assistant.sandbox.run.program", lambda: b"")
    with pytest.raises(UserError, match=r"cannot run a model's script in isolation: it lacks .*seccomp"):
        run_script("open('ran', 'w')")
    ran = run_script("import socket\nprint('began')\nsocket.socket()", unsafe=True)
    assert ran.isolation == "limits only"
    assert "began" in ran.stdout
    assert "socket.__new__ is not allowed here" in ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's filter is Linux's")
@needs_kernel
def test_a_filter_that_lets_all_through_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_all = program()[-8:]
    monkeypatch.setattr("sozai.assistant.sandbox.run.program", lambda: allow_all)
    with pytest.raises(UserError, match="seccomp"):
        run_script("pass")
    monkeypatch.undo()
    monkeypatch.setattr("sozai.assistant.sandbox.run._readable", lambda: ["/"])
    with pytest.raises(UserError, match="Landlock"):
        run_script("pass")
