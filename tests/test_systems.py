"""Named systems from the command line and from Python: train, kill, resume, sample, conditions, mistakes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import sozai
from sozai.cli.app import app
from sozai.errors import UserError
from sozai.generators.catalog import load, measured, recipes
from sozai.materials.dataset import material_from, read_dataset
from sozai.materials.formulas import parse

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def run(*arguments):
    """The command in this process; what it does not turn into a sentence has another code than 0 and 2."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})
    return done.exit_code, done.stdout, done.stderr


def run_alone(*arguments):
    """The same as a process of its own: seconds of importing, but nothing is left over from another test."""
    command = [sys.executable, "-m", "sozai", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=200)
    return done.returncode, done.stdout, done.stderr


def result_of(*arguments, by=run):
    code, told, errors = by(*arguments, "--json")
    assert code == 0, told + errors
    return json.loads(told)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A mixture of cement, water and binder kinds, with strength as a function of both."""
    rng = np.random.default_rng(0)
    rows = 240
    cement, water = rng.uniform(200, 500, rows).round(1), rng.uniform(140, 220, rows).round(1)
    binder = rng.choice(["slag", "fly ash", "none"], rows)
    strength = 0.2 * cement - 0.3 * water + 10 * (binder == "slag") + rng.normal(0, 2, rows) + 30
    frame = pd.DataFrame(
        {"cement": cement, "water": water, "binder": binder, "age": rng.integers(1, 90, rows), "strength": strength}
    )
    path = tmp_path_factory.mktemp("table") / "mix.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def micrographs(tmp_path_factory):
    """Grains of a random tessellation, drawn here."""
    folder = tmp_path_factory.mktemp("grains")
    for number in range(4):
        rng = np.random.default_rng(number)
        seeds, grey = rng.uniform(0, 64, (20, 2)), rng.integers(60, 220, 20)
        place = np.stack(np.mgrid[:64, :64], -1).reshape(-1, 1, 2)
        nearest = np.linalg.norm(place - seeds, axis=-1).argmin(1).reshape(64, 64)
        Image.fromarray(grey[nearest].astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def weights(folder):
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


def test_a_killed_training_goes_on_to_the_same_weights(table, tmp_path):
    """SIGKILL: no chance to save anything."""
    settings = ["train", "ddpm", "--data", table, "--steps", 150, "--batch-size", 64, "--seed", 3]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    result_of(*settings, "--out", whole)
    command = [sys.executable, "-m", "sozai", *map(str, [*settings, "--out", broken])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    deadline = time.monotonic() + 100
    while not (broken / "checkpoint.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not (broken / "weights.safetensors").exists()
    resumed = result_of(*settings, "--out", broken, by=run_alone)
    assert resumed["steps"] == 150
    assert weights(broken) == weights(whole)
    manifest = json.loads((broken / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert len(manifest["earlier"]) == 1


def test_train_and_generate_a_table_with_conditions(table, tmp_path):
    """Numbers and categories as conditions; the samples follow them."""
    out = tmp_path / "run"
    trained = result_of(
        "train", "cgan", "--data", table, "--given", "strength", "--given", "binder", "--out", out, "--steps", 60
    )
    assert trained["data"]["rows"] == 240
    made = result_of(
        "generate", out, "--count", 20, "--given", "strength=60", "--given", "binder=slag", "--out", tmp_path / "new"
    )
    frame = pd.read_csv(made["files"][0])
    assert list(frame.columns) == ["cement", "water", "age"]
    assert len(frame) == 20
    again = result_of(
        "generate", out, "--count", 20, "--given", "strength=60", "--given", "binder=slag", "--out", tmp_path / "two",
        by=run_alone,
    )  # fmt: skip
    assert pd.read_csv(again["files"][0]).equals(frame)
    assert (tmp_path / "new" / "manifest.json").exists()


@pytest.mark.parametrize("system", ["dcgan", "wgan-gp"])
def test_micrographs(system, micrographs, tmp_path):
    result_of("train", system, "--data", micrographs, "--size", 16, "--out", tmp_path / "run", "--steps", 20)
    made = result_of("generate", tmp_path / "run", "--count", 6, "--out", tmp_path / "new")
    images = np.load(tmp_path / "new" / "samples.npy")
    assert images.shape == (6, 1, 16, 16)
    assert images.dtype == np.uint8
    assert len(made["files"]) == 8
    assert Image.open(tmp_path / "new" / "contact_sheet.png").size[0] > 32


def test_cyclegan_translates_between_two_sets(micrographs, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "etched").mkdir()
    for number in range(3):
        grey = rng.integers(0, 90, (40, 40)).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "etched" / f"{number}.png")
    both = ["--data", micrographs, "--data", tmp_path / "etched", "--size", 16]
    result_of("train", "cyclegan", *both, "--out", tmp_path / "run", "--steps", 4, "--batch-size", 16)
    made = result_of(
        "generate", tmp_path / "run", "--translate", tmp_path / "etched", "--domain", "b", "--size", 16,
        "--out", tmp_path / "new",
    )  # fmt: skip
    assert made["written"] == 48
    assert np.load(tmp_path / "new" / "a" / "samples.npy").shape == (48, 1, 16, 16)
    assert (tmp_path / "new" / "b" / "contact_sheet.png").exists()


def test_formulas_by_vae(tmp_path):
    path = tmp_path / "formulas.csv"
    elements, anions = ["Li", "Na", "Mg", "Ca", "Mn", "Fe"], ["O", "S"]
    names = [f"{a}{n}{b}{m}" for a in elements for b in anions for n in (1, 2, 3) for m in (1, 2, 3, 4)]
    pd.DataFrame({"formula": names}).to_csv(path, index=False)
    result_of("train", "vae", "--data", path, "--kind", "formulas", "--out", tmp_path / "run", "--steps", 60)
    made = result_of("generate", tmp_path / "run", "--count", 30, "--out", tmp_path / "new")
    frame = pd.read_csv(made["files"][0], keep_default_na=False)
    assert list(frame.columns) == ["formula"]
    assert len(frame) == 30


def test_two_processes_share_a_batch(table, tmp_path):
    """torchrun: the gradients' mean over two halves is that of the whole batch."""
    common = ["--data", table, "--column", "cement", "--column", "water", "--batch-size", 64, "--steps", 10, "--out"]
    one = tmp_path / "one"
    result_of("train", "nice", *common, one)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "sozai"]
    done = subprocess.run(
        [*command, "train", "nice", *map(str, common), str(tmp_path / "two")],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    logs = [json.loads((tmp_path / name / "training.json").read_text()) for name in ("one", "two")]
    assert [len(log["rounds"]) for log in logs] == [5, 5]
    first, last = (np.array([log["rounds"][at]["held_out"]["loss"] for log in logs]) for at in (0, -1))
    np.testing.assert_allclose(first[0], first[1], rtol=0.05)
    np.testing.assert_allclose(last[0], last[1], rtol=0.05)


def test_python(table):
    fitted = sozai.generator("realnvp", steps=40).fit(pd.read_csv(table).drop(columns="binder"), seed=1)
    rows = fitted.sample(25, seed=2)
    assert rows.equals(fitted.sample(25, seed=2))
    assert not rows.equals(fitted.sample(25, seed=3))
    assert rows["age"].dtype.kind == "i"
    assert np.isfinite(fitted.log_prob(pd.read_csv(table).drop(columns="binder"))).all()


def test_a_sampler_wraps_a_fitted_diffusion(table, tmp_path):
    frame = pd.read_csv(table)
    fitted = sozai.generator("ddpm", steps=60).fit(frame, seed=1)
    fast = sozai.generator("ddim", wraps=fitted, data=frame, steps=7)
    assert fast.core.net is fitted.core.net
    assert len(fast.sample(10, seed=0)) == 10
    fast.save(tmp_path / "fast")
    assert sozai.load(tmp_path / "fast").sample(10, seed=0).equals(fast.sample(10, seed=0))
    assert type(fitted.core.sampler) is not type(fast.core.sampler)
    with pytest.raises(UserError, match="no sampler"):
        sozai.generator("vae", wraps=fitted)
    with pytest.raises(UserError, match="no diffusion"):
        sozai.generator("ddim", wraps=sozai.generator("nice", steps=5).fit(frame.drop(columns="binder")))


A_MOMENT = {name: {"sampler_settings": {"fit_steps": 3}} for name in ("genie", "ddss")}
"""What these two learn beside their network has steps of its own."""


@pytest.mark.parametrize(
    "name", [name for name, each in recipes().items() if "continuous" in each.serves and not each.needs]
)
def test_save_and_load_give_the_same_samples(name, tmp_path):
    """Every system, trained for a moment on numbers."""
    rng = np.random.default_rng(0)
    fitted = sozai.generator(name, steps=3, **A_MOMENT.get(name, {})).fit(rng.normal(size=(60, 3)), seed=0)
    before = fitted.sample(5, seed=1)
    fitted.save(tmp_path)
    after = sozai.load(tmp_path)
    assert after.name == fitted.name
    np.testing.assert_array_equal(np.asarray(before), np.asarray(after.sample(5, seed=1)))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("kind", ["table", "images", "formulas", "text", "array"])
def test_what_is_read_comes_back(kind, table, micrographs, tmp_path):
    (tmp_path / "f.txt").write_text("Mg(OH)2 NaCl Fe2O3")
    (tmp_path / "t.txt").write_text("grain growth is driven by curvature. " * 20)
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(9, 4)))
    path = {
        "table": table, "images": micrographs, "formulas": tmp_path / "f.txt", "text": tmp_path / "t.txt",
        "array": tmp_path / "a.npy",
    }[kind]  # fmt: skip
    dataset = read_dataset(path, kind, size=16)
    material = material_from(json.loads(json.dumps(dataset.material.to_dict())))
    made = material.restore(dataset.values)
    assert len(made) == len(dataset)
    files = material.write(made, tmp_path)
    assert all(file.exists() for file in files)
    if kind == "table":
        pd.testing.assert_frame_equal(made, pd.read_csv(table), check_dtype=False, rtol=1e-6)
    if kind == "formulas":
        assert [parse(each) for each in made] == [parse(each) for each in ("Mg(OH)2", "NaCl", "Fe2O3")]
    if kind == "text":
        assert made[0] == "grain growth is "
    if kind == "array":
        np.testing.assert_allclose(made, np.load(path), rtol=1e-6)


MISTAKES = {
    "no such system": (["train", "dppm", "--data", "{table}", "--out", "{out}"], "did you mean ddpm"),
    "no such column": (
        ["train", "vae", "--data", "{table}", "--given", "slump", "--out", "{out}"],
        "no column 'slump'",
    ),
    "no such file": (["train", "vae", "--data", "nothing.csv", "--out", "{out}"], "nothing.csv"),
    "no such setting": (["train", "vae", "--data", "{table}", "--set", "bta=2", "--out", "{out}"], "bta"),
    "a bad setting": (["train", "vae", "--data", "{table}", "--set", "beta", "--out", "{out}"], "write NAME=VALUE"),
    "images for a table system": (["train", "ctgan", "--data", "{images}", "--out", "{out}"], "ctgan"),
    "patches too large": (
        ["train", "dcgan", "--data", "{images}", "--size", "128", "--out", "{out}"],
        "as large as 128",
    ),
    "no time": (["train", "vae", "--data", "{table}", "--max-time", "soon", "--out", "{out}"], "no time to train in"),
    "a missing value": (["train", "vae", "--data", "{holes}", "--out", "{out}"], "column 'b'"),
    "names as categories": (["train", "vae", "--data", "{names}", "--out", "{out}"], "too many for categories"),
    "nothing to explain": (["systems", "gann"], "did you mean"),
    "no such family": (["systems", "--family", "flows"], "use one of"),
    "nothing to prove": (["prove"], "sozai prove --all"),
    "one set for two": (["train", "cyclegan", "--data", "{images}", "--out", "{out}"], "two sets"),
    "no reward": (["train", "ppo", "--data", "{table}", "--out", "{out}"], "a fitted language model and a reward"),
    "no weights": (["generate", "{images}", "--out", "{out}"], "no saved generator"),
}


@pytest.mark.parametrize(
    ("name", "by"), [*((name, run) for name in MISTAKES), ("images for a table system", run_alone)]
)
def test_mistakes_are_one_sentence(name, by, table, micrographs, tmp_path):
    (tmp_path / "holes.csv").write_text("a,b\n" + "1,2\n" * 10 + "1,\n")
    (tmp_path / "names.csv").write_text("a,b\n" + "".join(f"{k},sample {k}\n" for k in range(30)))
    places = {
        "table": table, "images": micrographs, "out": tmp_path / "out", "holes": tmp_path / "holes.csv",
        "names": tmp_path / "names.csv",
    }  # fmt: skip
    arguments, expected = MISTAKES[name]
    code, told, errors = by(*[argument.format(**places) for argument in arguments])
    assert code == 2, told + errors
    assert "Traceback" not in errors + told
    assert expected in " ".join((errors + told).split())


def test_systems_are_listed_and_explained():
    listed = result_of("systems")
    assert {each["name"] for each in listed} == set(recipes())
    assert all(each["likelihood"] in ("exact", "bound", "none") for each in listed)
    told = result_of("systems", "ddss")
    assert told["proof"]
    assert all(check["broken_by"] for check in told["proof"])
    assert told["measured"]["moons"]["distance"][0] > 0
    _, text, _ = run("systems", "beta-vae")
    assert "Formula" in text
    assert "Two moons" in text
    assert "fails when" in text


def test_what_few_rows_allow_does_not_bind_the_next_fit(tmp_path):
    rows = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    system = sozai.generator("realnvp", steps=2, width=8)
    system.fit(rows[:10], seed=0, device="cpu", folder=tmp_path)
    assert system.training["batch_size"] < 10
    assert system.fit(rows, seed=0, device="cpu").training["batch_size"] > 10
    again = load(tmp_path)
    assert again.fit(rows, seed=0, device="cpu", steps=2).training["batch_size"] > 10


def test_measured_numbers_are_of_systems_that_there_are():
    """The file is written by the benchmark; a system that draws from rows may not be forgotten there."""
    left_out = {"cyclegan", "reward-model", "dpo", "grpo", "ppo"}
    assert set(measured()) == set(recipes()) - left_out
    for tasks in measured().values():
        assert all(0 <= task["nearer"] < task["systems"] for task in tasks.values())


def test_prove_prints_expected_and_got():
    done = result_of("prove", "d3pm", "--fast")
    assert done["passed"]
    assert all(check["findings"] for check in done["checks"])
