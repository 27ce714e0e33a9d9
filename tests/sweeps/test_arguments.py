"""Arguments of sweeps: wild numbers and wrong objects are named before anything else happens."""

from typing import Any

import pytest
from small_runs import dqn

import jaxrl
from jaxrl import arguments

pytestmark = pytest.mark.usefixtures("fast_compilation")
HUGE = 10**5000
"""More digits than Python writes out."""
NUMBERS = [10**30, 2**63, 2**64, HUGE]


def sweep(space: Any = None, **changes: Any) -> Any:
    plain = {"steps": 120, "seeds": 1, "log_points": 8, "trials": 2, "progress": False}
    return jaxrl.sweep(dqn(), space or {"discount": jaxrl.uniform(0.9, 0.99)}, **{**plain, **changes})


@pytest.mark.parametrize("value", NUMBERS, ids=["1e30", "2^63", "2^64", "digits"])
@pytest.mark.parametrize(
    "name",
    [
        *("trials", "seeds", "sample_seed", "rungs", "eta", "episodes", "log_points", "block_size"),
        *("memory_limit", "max_compilations", "steps", "evaluation_episodes"),
    ],
    ids=arguments.shown,
)
def test_counts_of_a_sweep_beyond_64_bits(name: str, value: int, never_compiled: None) -> None:
    with pytest.raises(ValueError, match=rf"{name} = .* (must be|are more than)"):
        sweep(**{name: value})


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"trials": 10**9}, ValueError, "trials = 1000000000 are more than a sweep can have"),
        ({"seeds": 10**9}, ValueError, "2 trials x 1,000,000,000 seeds need .* MiB"),
        ({"eta": 1}, ValueError, "eta = 1 must be at least 2"),
        ({"keep": "best:3"}, ValueError, "keep = 'best:3' is more than the 2 trials of the sweep"),
        ({"keep": "best:" + "9" * 5000}, ValueError, "keep = 'best:999.* must be 'none', 'all', or 'best:N'"),
        ({"keep": 3}, ValueError, "keep = 3 must be"),
        ({"threshold": HUGE}, ValueError, "threshold = an int of .* must be a finite number"),
        ({"threshold": "high"}, TypeError, "threshold = 'high' must be a number"),
        ({"executor": 3}, ValueError, "executor = 3 must be one of"),
        ({"out": 3}, TypeError, "out = 3 must be a path"),
        ({"out": ""}, ValueError, "out = '' must name"),
        ({"progress": 3}, TypeError, "progress = 3 must be True or False"),
    ],
    ids=arguments.shown,
)
def test_wrong_arguments_of_a_sweep(changes: Any, error: Any, words: str, never_compiled: None) -> None:
    with pytest.raises(error, match=words):
        sweep(**changes)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: jaxrl.uniform(0, HUGE), r"uniform\(0, an int of .*both ends must be finite numbers"),
        (lambda: jaxrl.log_uniform(1e-4, 1e39), "both ends must be finite numbers, as float32 too"),
        (lambda: jaxrl.uniform("a", 1), "both ends must be finite"),
        (lambda: jaxrl.integers(0, HUGE), "both ends must be whole"),
        (lambda: jaxrl.choice(3), r"choice\(3\) must have a list of values"),
        (lambda: jaxrl.choice("abc"), r"choice\('abc'\) must have a list"),
    ],
)
def test_wrong_ends_of_distributions(build: Any, words: str) -> None:
    with pytest.raises(jaxrl.SpaceError, match=words):
        build()


def test_a_static_field_with_more_values_than_can_be_listed(never_compiled: None) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(
        jaxrl.SpaceError, match=r"compiles 1073741824 programs, one for each combination of target_period"
    ):
        sweep({"target_period": jaxrl.integers(1, 2**30)}, sampler="tpe")
