"""Sweeps that can't be: refused before anything is compiled or written."""

import pytest
from small_runs import dqn
from small_sweeps import sweep

from jaxrl import loop

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"space": {"learning_rat": [1]}}, "no field"),
        ({"sampler": "grid"}, "sampler = 'grid' must be one of sobol, random"),
        ({"sampler": "optuna"}, "sampler = 'optuna' must be one of sobol, random"),
        ({"threshold": "195"}, "threshold = '195' must be a number"),
        ({"threshold": float("nan")}, "threshold = nan must be a finite number"),
        ({"seeds": [[1], [2, 3]]}, "seeds"),
        ({"keep": "best"}, "keep = 'best' must be"),
        ({"executor": "slurm"}, "executor = 'slurm' must be one of local, ray"),
        ({"rungs": 5, "log_points": 12}, "rungs = 5 with eta = 3 would end the first rung"),
        ({"rungs": 2, "eta": 1}, "eta = 1 must be at least 2"),
        ({"rungs": 3, "log_points": 12, "agent": dqn(learning_starts=50)}, "first of the rungs ends too early"),
        ({"seeds": [1, 1]}, "seeds repeat"),
        ({"seeds": 0}, "seeds = 0 must be at least 1"),
        ({"steps": None}, "give either steps"),
        ({"episodes": 0}, "episodes = 0"),
        ({"sample_seed": -1}, "sample_seed = -1"),
        ({"space": {"batch_size": [4, 5, 6], "double": [False, True]}, "max_compilations": 5}, "compiles 6 programs"),
        ({"space": {"buffer_size": [10**9]}, "memory_limit": 10**6}, "memory"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled(arguments, words, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("this must not come as far as training")

    monkeypatch.setattr(loop, "run", refuse)
    with pytest.raises((ValueError, TypeError), match=words):
        sweep(**{"out": tmp_path / "s", **arguments})
    assert not (tmp_path / "s" / "config.json").exists()
