"""The examples run, and show what they say."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.usefixtures("fast_compilation")
def test_reward_shaping(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reward_shaping.py", "--iterations", "300"])
    runpy.run_path(str(EXAMPLES / "reward_shaping.py"), run_name="__main__")
    lines = [line.split(None, 3) for line in capsys.readouterr().out.splitlines()]
    ends = {(failure, shaping): end for failure, _, shaping, end in lines}
    shortest = {"greed": 12, "fear": 10, "recklessness": 12}
    for failure, steps in shortest.items():
        assert ends[failure, "none"] == ends[failure, "potential"] == f"goal (step {steps})"
    assert ends["greed", "bonus"] == "still in row 0, column 2 (step 50)"
    assert ends["fear", "bonus"].startswith("still in row 0")
    assert ends["recklessness", "bonus"] == "trap (step 1)"


def test_examples_are_short():
    for file in EXAMPLES.glob("*.py"):
        assert len(file.read_text().splitlines()) < 80
