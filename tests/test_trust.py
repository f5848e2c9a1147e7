from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from sozai import UserError
from sozai.files import atomic, output_folder, plain, sha256
from sozai.trust import energy
from sozai.trust.energy import EnergyMeter
from sozai.trust.manifest import Manifest, cpu_seconds, versions


def written(folder) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def burn(seconds: float) -> None:
    """Use CPU time here."""
    end = cpu_seconds() + seconds
    while cpu_seconds() < end:
        sum(range(20000))


def test_a_finished_run_tells_all(tmp_path):
    (tmp_path / "data.cif").write_text("data_x")
    (tmp_path / "weights.bin").write_bytes(b"abc")
    options = {"settings": {"count": 3}, "seeds": {"generator": 7}, "command": "sozai x"}
    with Manifest(tmp_path / "run", data=[tmp_path / "data.cif"], weights=[tmp_path / "weights.bin"], **options) as run:
        assert written(tmp_path / "run")["status"] == "running", "a killed run leaves a manifest"
        burn(0.2)
        run.record("seeds", {"pyxtal": 1})
        run.record("generator", "wyckoff-gpt")
    content = written(tmp_path / "run")
    assert content["status"] == "finished" and content["command"] == "sozai x"
    assert content["seeds"] == {"generator": 7, "pyxtal": 1} and content["generator"] == "wyckoff-gpt"
    assert list(content["data"].values()) == [hashlib.sha256(b"data_x").hexdigest()]
    assert list(content["weights"].values()) == [hashlib.sha256(b"abc").hexdigest()]
    assert content["cpu_seconds"] >= 0.19 and content["seconds"] > 0 and content["peak_memory_mib"] > 10
    assert content["energy_wh"] > 0 and content["energy_how"]
    assert content["versions"] == versions() and content["versions"]["numpy"]


def test_children_are_counted_while_they_run_and_after():
    code = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n"
    before = cpu_seconds()
    child = subprocess.Popen([sys.executable, "-c", code + "print('done', flush=True); time.sleep(60)"], stdout=-1)
    child.stdout.readline()
    assert cpu_seconds() - before > 0.4, "a running child"
    child.kill()
    child.communicate()
    assert cpu_seconds() - before > 0.4, "an ended child"


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), "interrupted"), (UserError("no"), "failed")])
def test_a_run_that_ends_early_says_so(tmp_path, error, status):
    with pytest.raises(type(error)), Manifest(tmp_path):
        raise error
    assert written(tmp_path)["status"] == status


def test_a_resumed_run_adds_up(tmp_path):
    for resume in (False, True, True):
        with Manifest(tmp_path, resume=resume):
            burn(0.05)
    content = written(tmp_path)
    assert len(content["earlier"]) == 2
    attempts = [*content["earlier"], content]
    assert content["total"]["cpu_seconds"] == pytest.approx(sum(attempt["cpu_seconds"] for attempt in attempts))
    with Manifest(tmp_path):
        pass
    assert written(tmp_path)["earlier"] == [], "a new run in the folder starts from nothing"


def test_a_damaged_manifest_does_not_stop_a_resumed_run(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with Manifest(tmp_path, resume=True):
        pass
    assert written(tmp_path)["status"] == "finished"


def counters(folder, **microjoules: int):
    for name, value in microjoules.items():
        zone = folder / name.replace("_", ":").replace("rapl", "intel-rapl")
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "energy_uj").write_text(str(value))
        (zone / "max_energy_range_uj").write_text(str(200_000_000_000))


def test_energy_is_measured_where_it_can_be(tmp_path):
    counters(tmp_path, rapl_0=1_000_000, rapl_1=199_999_000_000, rapl_0_0=0)
    meter = EnergyMeter(tmp_path)
    # package 0 uses 3600 J, package 1's counter runs round after 1 kJ, and its part must not be counted twice
    counters(tmp_path, rapl_0=3_601_000_000, rapl_1=3_599_000_000, rapl_0_0=3_000_000_000)
    used, how = meter.watt_hours(cpu_seconds=10)
    assert used == pytest.approx(1 + 3600 / 3600) and "RAPL" in how


def test_energy_is_estimated_where_it_must_be(tmp_path, monkeypatch):
    monkeypatch.delenv("SOZAI_WATTS_PER_CORE", raising=False)
    used, how = EnergyMeter(tmp_path / "none").watt_hours(cpu_seconds=3600)
    assert used == pytest.approx(energy.WATTS_PER_CORE) and "estimated" in how
    monkeypatch.setenv("SOZAI_WATTS_PER_CORE", "15")
    used, how = EnergyMeter(tmp_path / "none").watt_hours(cpu_seconds=3600)
    assert used == pytest.approx(15) and "15 W" in how


def test_a_counter_that_may_have_run_round_twice_is_not_believed(tmp_path, monkeypatch):
    counters(tmp_path, rapl_0=0)
    meter = EnergyMeter(tmp_path)
    monkeypatch.setattr(meter, "_since", meter._since - 1000)
    assert "estimated" in meter.watt_hours(1.0)[1]


# --- files ------------------------------------------------------------------------------------------------


def test_atomic_files_are_whole_or_not_there(tmp_path):
    with pytest.raises(ValueError), atomic(tmp_path / "x") as stream:
        stream.write("half")
        raise ValueError
    assert list(tmp_path.iterdir()) == []
    with atomic(tmp_path / "x") as stream:
        stream.write("whole")
    assert (tmp_path / "x").read_text() == "whole"
    assert (tmp_path / "x").stat().st_mode & 0o400


def test_folders_that_cannot_be_written(tmp_path):
    assert output_folder(tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run", "/proc/nowhere"):
        with pytest.raises(UserError, match="cannot write"):
            output_folder(path)


def test_hash_of_a_folder_sees_names_and_contents(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("1")
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")
    (tmp_path / "b" / "x").rename(tmp_path / "b" / "y")
    assert sha256(tmp_path / "a") != sha256(tmp_path / "b")
    with pytest.raises(UserError, match="cannot be read"):
        sha256(tmp_path / "nothing")


def test_plain_refuses_what_json_cannot_hold():
    with pytest.raises(TypeError, match="object"):
        plain({"x": object()})
