from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import typer
from pymatgen.io.cif import CifWriter
from typer.testing import CliRunner

import sozai
from sozai import UserError
from sozai.cli import frame
from sozai.cli.app import app
from sozai.cli.frame import AsJson, SozaiGroup, add_command, emit, progress, resume_with
from sozai.materials.crystal import Crystal
from sozai.materials.crystal_files import write_crystals


def run(*arguments: str, of: typer.Typer = app):
    return CliRunner().invoke(of, list(arguments))


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


# --- the frame --------------------------------------------------------------------------------------------


def failing_app(error: BaseException) -> typer.Typer:
    """An app with one command, ``work``, that raises."""

    def work(as_json: AsJson = False) -> None:
        """Work and fail."""
        resume_with("sozai work --resume run/")
        raise error

    made = typer.Typer(cls=SozaiGroup, name="sozai", pretty_exceptions_enable=False)
    made.callback()(lambda: None)
    add_command(made, work, "sozai work")
    return made


def test_a_users_mistake_is_one_sentence_and_code_2():
    mistake = UserError("the cell is [red]flat[/red]\nand empty", "a.cif, line 3", "export it again")
    result = run("work", of=failing_app(mistake))
    assert result.exit_code == 2
    assert result.stderr == "a.cif, line 3: the cell is [red]flat[/red] and empty; export it again.\n"
    assert result.stdout == ""


def test_a_users_mistake_as_json():
    result = run("work", "--json", of=failing_app(UserError("what", "where", "mend")))
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {"error": {"what": "what", "where": "where", "mend": "mend"}}
    assert result.stderr == ""


def test_a_missing_package_names_the_extra():
    result = run("work", of=failing_app(ModuleNotFoundError("No module named 'chgnet'", name="chgnet.model")))
    assert result.exit_code == 2 and "pip install 'sozai[crystals]'" in result.stderr


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "/root/x"), OSError(28, "No space left")])
def test_the_machines_refusals_are_sentences(error):
    result = run("work", of=failing_app(error))
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1


def test_a_fault_of_ours_is_short_with_a_log(monkeypatch, tmp_path):
    monkeypatch.delenv("SOZAI_DEBUG", raising=False)
    monkeypatch.setattr(frame.tempfile, "gettempdir", lambda: str(tmp_path))
    result = run("work", of=failing_app(ZeroDivisionError("division by zero")))
    assert result.exit_code == 1
    (log,) = tmp_path.iterdir()
    assert str(log) in result.stderr and len(result.stderr.splitlines()) == 1
    assert "Traceback" in log.read_text() and "Traceback" not in result.stderr


def test_debugging_shows_everything(monkeypatch):
    monkeypatch.setenv("SOZAI_DEBUG", "1")
    result = run("work", of=failing_app(ZeroDivisionError("division by zero")))
    assert isinstance(result.exception, ZeroDivisionError)


def test_ctrl_c_says_how_to_go_on():
    result = run("work", of=failing_app(KeyboardInterrupt()))
    assert result.exit_code == 130
    assert result.stderr == "Stopped. Go on with: sozai work --resume run/\n"


def test_ctrl_c_in_a_real_process():
    code = (  # a suite started in the background inherits that SIGINT is ignored
        "import signal, time, typer; from sozai.cli import frame\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "app = typer.Typer(cls=frame.SozaiGroup); app.callback()(lambda: None)\n"
        "@app.command()\n"
        "def work():\n    print('working', flush=True); time.sleep(30)\n"
        "app(['work'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"working"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.decode().strip() == "Stopped."


def test_a_reader_that_closes_early_is_no_failure(tmp_path, rock_salt):
    write_crystals([Crystal(str(n), rock_salt) for n in range(30)], tmp_path, formats=["parquet"])
    command = f"'{sys.executable}' -m sozai check '{tmp_path}' | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert len(done.stdout.splitlines()) == 1 and "Traceback" not in done.stderr and "failed" not in done.stderr


def test_emit_json_is_strict(capsys):
    import numpy as np

    emit({"gap": float("nan"), "n": np.int64(3), "a": np.arange(2), "s": {"b", "a"}}, True, lambda console: None)
    assert json.loads(capsys.readouterr().out) == {"gap": None, "n": 3, "a": [0, 1], "s": ["a", "b"]}


def test_progress_is_quiet_when_asked(capsys):
    with progress("Working", quiet=True) as report:
        report(1, 2, "x")
    assert capsys.readouterr() == ("", "")


def test_progress_writes_lines_with_time_left_where_there_is_no_terminal(capsys, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with progress("Relaxing") as report:
        for done in range(1, 6):
            clock[0] += 6
            report(done, 10, "mp-1")
        clock[0] += 6
        report(1, 50, "")  # another stage: its own rate
        clock[0] += 12
        report(3, 50, "")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Relaxing: 2 of 10, about 48 s left (mp-1)",
        "Relaxing: 4 of 10, about 36 s left (mp-1)",
        "Relaxing: 1 of 50",
        "Relaxing: 3 of 50, about 5 min left",
    ]


def test_progress_draws_a_bar_on_a_terminal(monkeypatch):
    from rich.console import Console

    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100)
    with frame._bar("Relaxing [x]", terminal) as report:
        report(3, 10, "[odd] name")
        report(0, 4, "next stage")
        report(4, 4, "")
    assert "Relaxing [x]" in screen.getvalue() and "4/4" in screen.getvalue()


# --- help -------------------------------------------------------------------------------------------------


def test_help_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys; from sozai.cli.app import app\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pymatgen', 'ase', 'scipy', 'plotly', 'pyxtal', 'chgnet'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    best = float("inf")
    for _ in range(4):  # the machine may be busy: the quickest counts
        start = time.perf_counter()
        assert python("-m", "sozai", "--help").returncode == 0
        best = min(best, time.perf_counter() - start)
    assert best < 0.5 or os.getloadavg()[0] > 2 * (os.cpu_count() or 1), f"{best:.2f} s"


def test_help_and_version():
    assert "check" in run("--help").stdout
    assert "check" in run().stdout and run().exit_code == 0
    assert run("--version").stdout.strip() == f"sozai {sozai.__version__}"


def commands() -> list[str]:
    return sorted(command.name or "" for command in app.registered_commands)


@pytest.mark.parametrize("name", commands())
def test_every_command_has_a_manual_with_examples_and_json(name):
    text = run(name, "--help").stdout
    assert "Examples" in text and f"$ sozai {name}" in text
    assert "--json" in text or name == "mcp"  # a server, which has no result to print


# --- commands ---------------------------------------------------------------------------------------------


def test_info_names_versions_and_bundled_files():
    facts = json.loads(run("info", "--json").stdout)
    assert facts["sozai"] == sozai.__version__ and facts["versions"]["pymatgen"]
    assert all(len(item["sha256"]) == 64 for item in facts["bundled"])
    assert sozai.__version__ in run("info").stdout


def test_check_gives_a_verdict_for_each_rule(tmp_path, rock_salt, rutile):
    (tmp_path / "salt.cif").write_text(str(CifWriter(rock_salt, symprec=0.01)))
    (tmp_path / "rutile.cif").write_text(str(CifWriter(rutile, symprec=0.01)))
    (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a 3\n")
    answer = json.loads(run("check", str(tmp_path), "--json").stdout)
    assert [crystal["formula"] for crystal in answer["crystals"]] == ["TiO2", "NaCl"]
    for crystal in answer["crystals"]:
        assert crystal["sound"] and {"rule", "passed", "message"} <= set(crystal["verdicts"][0])
    assert [problem["where"] for problem in answer["problems"]] == ["broken.cif"]
    text = run("check", str(tmp_path)).stdout
    assert "2 of 2 crystals are sound" in text and "broken.cif" in text and "charge_neutrality" in text


def test_check_fails_what_is_unsound(tmp_path, rock_salt):
    rock_salt.scale_lattice(rock_salt.volume / 6)  # Na-Cl at 1.55 angstrom
    (tmp_path / "tight.cif").write_text(str(CifWriter(rock_salt)))
    answer = json.loads(run("check", str(tmp_path / "tight.cif"), "--json").stdout)
    (crystal,) = answer["crystals"]
    failed = {verdict["rule"] for verdict in crystal["verdicts"] if verdict["passed"] is False}
    assert not crystal["sound"] and "interatomic_distances" in failed


def test_check_obeys_a_rule_file(tmp_path, rock_salt):
    (tmp_path / "salt.cif").write_text(str(CifWriter(rock_salt)))
    (tmp_path / "rules.yaml").write_text("rules:\n  charge_neutrality: {severity: 'off'}\n")
    arguments = ["check", str(tmp_path / "salt.cif"), "--json"]
    before = json.loads(run(*arguments).stdout)["crystals"][0]["verdicts"]
    after = json.loads(run(*arguments, "--rules", str(tmp_path / "rules.yaml")).stdout)["crystals"][0]["verdicts"]
    assert {verdict["rule"] for verdict in before} - {verdict["rule"] for verdict in after} == {"charge_neutrality"}
