"""The examples run, shortened, and show what they say."""

import json
import re
import runpy
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import jaxrl

EXAMPLES = Path(__file__).parent.parent / "examples"
LONGEST = {"custom_agent.py": 100}
"""Lines that a script may have, where more than the others."""

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jaxrl.use_cpu_cores", lambda: None)  # JAX has started long ago.


@pytest.fixture
def said(monkeypatch, capfd):
    """Runs an example with options, and gives what it prints."""

    def run(name, *options):
        monkeypatch.setattr(sys, "argv", [str(EXAMPLES / name), *options])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capfd.readouterr().out

    return run


def test_reward_shaping(said):
    lines = [line.split(None, 3) for line in said("reward_shaping.py", "--iterations", "300").splitlines()]
    ends = {(failure, shaping): end for failure, _, shaping, end in lines}
    shortest = {"greed": 12, "fear": 10, "recklessness": 12}
    for failure, steps in shortest.items():
        assert ends[failure, "none"] == ends[failure, "potential"] == f"goal (step {steps})"
    assert ends["greed", "bonus"] == "still in row 0, column 2 (step 50)"
    assert ends["fear", "bonus"].startswith("still in row 0")
    assert ends["recklessness", "bonus"] == "trap (step 1)"


def test_first_run(said):
    text = said("first_run.py", "--steps", "1100", "--seeds", "2")
    assert re.search(r"[0-2] of 2 seeds solved CartPole; mean greedy return \d+\.\d", text)
    assert re.search(r"leans to the right: [01]\n", text)
    assert jaxrl.load("runs/first").members == 2


def test_custom_environment(said):
    text = said("custom_environment.py", "--steps", "600", "--seeds", "1")
    assert "Rocket: nothing found" in text
    table = [[float(x) for x in line.split()] for line in text.splitlines()[-4:]]
    assert [row[0] for row in table] == [1, 5, 9, 11]
    assert np.isfinite(table).all()


def test_custom_agent_learns(said):
    """Shortened, it ends far above random play, whose mean return is 22."""
    text = said("custom_agent.py", "--steps", "40000", "--seeds", "2")
    assert float(re.search(r"mean greedy return (\d+\.\d)", text)[1]) > 60


def test_sweep_from_toml(said):
    text = said("sweep_from_toml.py", "--trials", "2", "--seeds", "1", "--steps", "600", "--no-progress")
    assert "best: trial" in text
    assert Path("runs/sweep/sweep.html").exists()
    assert jaxrl.load("runs/sweep").values[0].keys() == {"learning_rate", "num_envs", "env.length"}


def test_resume_after_kill(said):
    text = said("resume_after_kill.py", "--steps", "10000")
    assert text.splitlines() == ["killed", "resumed and uninterrupted runs are equal bit for bit"]


def test_export_and_play(said):
    pytest.importorskip("ai_edge_litert")
    text = said("export_and_play.py", "--steps", "2000")
    assert "equal actions" in text
    assert 8 <= float(re.search(r"return of the file's episode: (\d+)", text)[1]) <= 500


def test_the_notebook_runs():
    mpl.use("Agg")
    notebook = json.loads((EXAMPLES / "first_steps.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names = {}
    for cell in cells:
        exec(re.sub(r"steps=[\d_]+", "steps=1_100", re.sub(r"members = \d+", "members = 2", cell)), names)
    assert names["result"].members == 2
    assert names["short"].shape == (2,)
    assert not any(cell.get("outputs") for cell in notebook["cells"])  # They are made where it is shown.


def test_scripts_are_short():
    for file in EXAMPLES.glob("*.py"):
        assert len(file.read_text().splitlines()) < LONGEST.get(file.name, 80)


def test_every_example_is_tested():
    text = "".join((Path(__file__).parent / name).read_text() for name in ("test_examples.py", "test_docs.py"))
    for file in EXAMPLES.glob("*.*"):
        assert f'"{file.name}"' in text or file.name == "sweep.toml", f"{file.name} is run by no test"
