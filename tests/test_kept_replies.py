"""Work with a language model that is stopped or killed, and goes on without asking anything twice."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from endpoints import Server, chat, says
from typer.testing import CliRunner

from sozai.assistant.models import Message, ScriptedModel
from sozai.assistant.models.connection import Connection
from sozai.assistant.models.kept import FILE_NAME, KeptReplies
from sozai.cli.app import app
from sozai.errors import UserError
from sozai.trust.ledger import LEDGER

SETTINGS = {"model": "script:x", "seed": 0}


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


def kept_model(path: Path, model: ScriptedModel) -> tuple[Connection, KeptReplies]:
    kept = KeptReplies(path, SETTINGS)
    connection = Connection(model, "in this process")
    connection.keep(kept)
    return connection, kept


def ask(connection: Connection, *questions: str, **wanted: Any) -> list[str]:
    return [connection.complete([Message("user", text)], **wanted).text for text in questions]


def test_an_answer_is_asked_for_once(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME

    def ctrl_c(messages: object) -> str:
        raise KeyboardInterrupt

    connection, kept = kept_model(path, ScriptedModel(["one", "two", "three", ctrl_c]))
    assert ask(connection, "a", "b", "a") == ["one", "two", "three"]  # the same asked again is another question
    with pytest.raises(KeyboardInterrupt):
        ask(connection, "c")
    kept.put_note("built x", {"a": 1.5})
    text = path.read_text(encoding="utf-8")
    for written in (text, text + '{"key": "torn'):  # the last line was being written when the process was killed
        path.write_text(written, encoding="utf-8")
        second = ScriptedModel(["one", "two", "three", "four"])
        mark = LEDGER.mark()
        connection, kept = kept_model(path, second)
        assert kept.count == 3 and kept.note("built x") == {"a": 1.5} and kept.note("built y") is None
        kept.tell_ledger()
        assert LEDGER.summary(mark)["sent"][0]["requests"] == 4  # the last without an answer
        assert ask(connection, "a", "b", "a") == ["one", "two", "three"] and second.asked == []
        assert ask(connection, "c") == ["four"] and len(second.asked) == 1
        assert [entry["asked"] for entry in kept.transcript()] == ["a", "b", "a", "c"]
        _, third = kept_model(path, ScriptedModel(["x"]))
        assert third.count == 4
        kept.close(finished=False)
    connection, kept = kept_model(path, ScriptedModel(["other"]))
    assert ask(connection, "a", temperature=0.5) == ["other"]  # another question, though its words are the same
    kept.close(finished=True)
    assert not path.exists()


def test_answers_to_other_settings_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    connection, kept = kept_model(path, ScriptedModel(["one"]))
    ask(connection, "a")
    kept.close(finished=False)
    text = path.read_text(encoding="utf-8")
    with pytest.raises(UserError, match=r"other settings .model was .script:x., is .script:y.; rounds was null, is 3"):
        KeptReplies(path, SETTINGS | {"model": "script:y", "rounds": 3})
    assert path.read_text(encoding="utf-8") == text
    assert KeptReplies(path, SETTINGS).count == 1
    path.write_text("".join(line + "\n" for line in text.splitlines() if '"reply"' not in line), encoding="utf-8")
    assert KeptReplies(path, {"model": "script:y"}).count == 0 and not path.exists()  # nothing was answered there
    for strange in ("a letter\nto a friend\n", '{"form": 99, "settings": {}}\n{"key": "x"}\n'):
        path.write_text(strange, encoding="utf-8")
        with pytest.raises(UserError, match="no answers that this version reads"):
            KeptReplies(path, SETTINGS)
        assert path.read_text(encoding="utf-8") == strange


# ---- sozai cif --propose

GOOD = '{"formula": "SrTiO3", "space_group": "Pm-3m", "sites": ["Sr 1a", "Ti 1b", "O 3c"], "polyhedra": [{"Ti-O": 6}]}'
SPARSE = GOOD.replace('"polyhedra": [{"Ti-O": 6}]', '"density": [9, 10]')  # a structure is built, and fails
REPLIES = [SPARSE, GOOD.replace("Ti 1b", "Ti 1a"), GOOD]
WORDS = "SrTiO3, Pm-3m, TiO6 octahedra"


class Scripted:
    """Counts what a script's model is asked, and ends the work at one question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.asked, self.fatal = 0, 0
        self.end: BaseException | type[BaseException] = KeyboardInterrupt
        complete = ScriptedModel.complete

        def counted(model: ScriptedModel, *given: Any, **wanted: Any) -> Any:
            self.asked += 1
            if self.asked == self.fatal:
                raise self.end
            return complete(model, *given, **wanted)

        monkeypatch.setattr(ScriptedModel, "complete", counted)

    def restart(self, fatal: int = 0, end: BaseException | type[BaseException] = KeyboardInterrupt) -> None:
        self.asked, self.fatal, self.end = 0, fatal, end


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.yaml"
    path.write_text(json.dumps(REPLIES), encoding="utf-8")
    return path


def proposing(script: Path, out: Path, *more: str) -> list[str]:
    options = ["--propose", "--model", f"script:{script}", "--no-relax", "--starts", "2", "--out", str(out)]
    return ["cif", WORDS, *options, *more]


def transcript(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "transcript.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError])
def test_rounds_with_a_model_go_on(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    """Ctrl-C leaves the best so far; what ends the process otherwise leaves each round and answer on disk."""
    from sozai.assistant.structures import build

    builds = []

    def counted(rules: Any, **options: Any) -> Any:
        builds.append(rules)
        return whole_build(rules, **options)

    whole_build = build.build
    monkeypatch.setattr(build, "build", counted)
    scripted = Scripted(monkeypatch)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(*proposing(script, whole))[0] == 0
    assert (scripted.asked, len(builds)) == (3, 2) and not (whole / FILE_NAME).exists()

    scripted.restart(3, end)
    code, told, _ = run(*proposing(script, broken))
    first = (broken / "round_1.yaml").read_text(encoding="utf-8")
    assert first.startswith("# sozai: FAILED") and (broken / "round_2.yaml").exists()
    if end is KeyboardInterrupt:
        assert code == 3 and "cut short (interrupted): the same command goes on" in " ".join(told.split())
        result = json.loads((broken / "result.json").read_text(encoding="utf-8"))
        assert result["cut_short"] == "interrupted" and not result["passed"]
        assert (broken / "proposed_1.cif").read_text(encoding="utf-8").startswith("# sozai: FAILED")
        assert transcript(broken)["best_round"] == 1 and len(transcript(broken)["rounds"]) == 2
    else:
        assert code == 1 and not (broken / "result.json").exists()

    scripted.restart()
    code, _, refused = run(*proposing(script, broken, "--seed", "1"))
    assert code == 2 and "other settings (seed was 0, is 1)" in refused and scripted.asked == 0
    builds.clear()
    assert run(*proposing(script, broken, "--rounds", "5"))[0] == 0
    assert (scripted.asked, len(builds)) == (1, 1)  # only the third answer is asked for, and built
    assert transcript(broken) == transcript(whole)
    assert (broken / "proposed_1.cif").read_bytes() == (whole / "proposed_1.cif").read_bytes()
    assert not (broken / FILE_NAME).exists()
    manifest = json.loads((broken / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "finished" and len(manifest["earlier"]) == 1
    assert manifest["language_models"]["sent"][0]["requests"] == 4  # the third question went out twice


def test_ctrl_c_while_building_ends_the_run_and_not_the_round(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sozai.assistant.structures.build import search

    scripted, fit = Scripted(monkeypatch), search._fit

    def stop(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "_fit", stop)
    code, _, told = run(*proposing(script, tmp_path / "run"))
    assert code == 130 and "Go on with" in told  # nothing was judged: there is no best so far
    assert (
        scripted.asked == 1 and json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "interrupted"
    )
    monkeypatch.setattr(search, "_fit", fit)
    assert run(*proposing(script, tmp_path / "run"))[0] == 0 and scripted.asked == 3


def test_an_endpoint_that_fails_later_can_be_asked_later(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = Scripted(monkeypatch)
    scripted.restart(2, UserError("cannot be reached", "host"))
    code, told, _ = run(*proposing(script, tmp_path / "run"))
    assert code == 3 and "cut short (the model could not be asked further: host: cannot be reached)" in " ".join(
        told.split()
    )
    scripted.restart()
    assert run(*proposing(script, tmp_path / "run"))[0] == 0 and scripted.asked == 2
    assert all(one["reply"] for one in transcript(tmp_path / "run")["rounds"])


# ---- sozai extract

PAPERS = {
    "a.txt": "LLZO has an ionic conductivity of 0.21 mS/cm at 25 °C. LATP shows 0.7 mS/cm at 25 °C.",
    "b.txt": "LAGP reaches an ionic conductivity of 0.35 mS/cm at 25 °C. LLTO has 1.1 mS/cm at 30 °C.",
}


@pytest.mark.skipif(not importlib.util.find_spec("openai"), reason="the client is not installed")
@pytest.mark.parametrize("end", ["killed", "Ctrl-C", "refused"])
def test_an_extraction_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """The third of four questions ends the work: what came before it is not asked, and paid for, again."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "papers").mkdir()
    for name, text in PAPERS.items():
        (tmp_path / "papers" / name).write_text(f"Glass\n\n{text}\n", encoding="utf-8")
    reached, gate = threading.Event(), threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if len(server.seen) == 3 and not gate.is_set():
            reached.set()
            if end == "refused":
                says({"error": {"message": "no credit"}}, 401)(handler)
            else:
                gate.wait(60)
            return
        entry = {"material": "LATP", "property": "ionic_conductivity", "value": "0.7 mS/cm", "temperature": "25 °C"}
        says(chat(json.dumps([entry]), finish_reason="stop"))(handler)

    with Server(answer) as server:
        command = ["extract", str(tmp_path / "papers"), "--property", "ionic_conductivity", "--out",
                   str(tmp_path / "run"), "--model", "openai:m", "--endpoint", server.url]  # fmt: skip
        if end == "refused":
            code, _, told = run(*command)
            assert code == 2 and "no credit" in told and "then the same command goes on" in told
        else:
            process = subprocess.Popen(
                [sys.executable, "-m", "sozai", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "2000"},
                # A suite started in the background inherits that SIGINT is ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
            assert reached.wait(60), "it ended before it could be stopped"
            process.send_signal(signal.SIGKILL if end == "killed" else signal.SIGINT)
            told = process.communicate(timeout=60)[1]
            assert process.returncode == (-signal.SIGKILL if end == "killed" else 130)
        if end != "killed":  # what the first document gave can be used
            assert end == "refused" or "Go on with: __main__.py extract" in told
            rows = pd.read_csv(tmp_path / "run" / "records.csv")
            assert {Path(source).name for source in rows.source} == {"a.txt"} and len(rows) >= 2
            result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
            assert "stopped after 1 of 2 documents" in result["problems"][0]
            status = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))["status"]
            assert status == ("failed" if end == "refused" else "interrupted")
        gate.set()
        first = len(server.seen)
        assert first == 3
        code, _, told = run(*command[:-4], "--model", "openai:other", "--endpoint", server.url)
        assert code == 2 and 'model was "openai:m", is "openai:other"' in told and len(server.seen) == first
        code, told, errors = run(*command, "--json")
        assert code == 0, told + errors
        asked = [json.loads(body)["messages"][1]["content"] for _, _, body in server.seen]
        assert len(asked) == 5 and asked[3] == asked[2] and len(set(asked)) == 4
        again = tmp_path / "again"
        whole = run(*[str(again) if word == str(tmp_path / "run") else word for word in command], "--json")
        assert whole[0] == 0 and len(server.seen) == 9  # a run that was finished, or begun elsewhere, asks for itself
    resumed, fresh = (json.loads(text) | {"folder": ""} for text in (told, whole[1]))
    assert resumed == fresh and len(resumed["documents"]) == 2 and resumed["refused"]
    kept = json.loads((tmp_path / "run" / "transcript.json").read_text(encoding="utf-8"))
    assert len(kept) == 4 and all("0.7 mS/cm" in entry["reply"]["text"] for entry in kept)
    assert not (tmp_path / "run" / FILE_NAME).exists()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "finished" and manifest["language_models"]["sent"][0]["requests"] == 5


def test_ctrl_c_without_a_model_leaves_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sozai.assistant.documents import read

    for name, text in PAPERS.items():
        (tmp_path / name).write_text(f"Glass\n\n{text}\n", encoding="utf-8")
    whole = read.read_document

    def stop(path: Any, *given: Any) -> Any:
        if Path(path).name == "b.txt":
            raise KeyboardInterrupt
        return whole(path, *given)

    monkeypatch.setattr(read, "read_document", stop)
    command = ["extract", str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--out", str(tmp_path / "run")]
    code, _, told = run(*command)
    assert code == 130 and "Go on with" in told
    assert (tmp_path / "run" / "table.csv").exists() and not (tmp_path / "run" / FILE_NAME).exists()
    assert run("extract", str(tmp_path / "b.txt"), "--out", str(tmp_path / "other"))[0] == 130  # nothing to leave
    assert not (tmp_path / "other" / "table.csv").exists()
