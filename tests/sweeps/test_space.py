"""Spaces: what they draw, how even it is, and what they refuse."""

from typing import Any, Optional

import numpy as np
import pytest
from scipy.stats import kstest
from small_runs import dqn

import jaxrl
from jaxrl.sweeps.samplers import draw, every_program
from jaxrl.sweeps.space import Integers, checked_space, field_paths


def test_grids_give_every_point_once():
    space = checked_space(dqn(), {"discount": [0.9, 0.99], "batch_size": [4, 8, 16], "double": [False, True]})
    points = draw(space, None, "sobol", 0)
    assert len(points) == 12
    assert len({tuple(point.values()) for point in points}) == 12
    assert points[0] == {"discount": 0.9, "batch_size": 4, "double": False}
    assert points[1]["double"] is True


@pytest.mark.parametrize("sampler", ["sobol", "random"])
def test_samples_have_the_distributions_asked_for(sampler):
    space = checked_space(
        dqn(),
        {
            "learning_rate": jaxrl.log_uniform(1e-4, 1e-2),
            "discount": jaxrl.uniform(0.9, 1.0),
            "batch_size": jaxrl.integers(3, 6),
            "schedule": jaxrl.choice(["linear", "cosine"]),
        },
    )
    points = draw(space, 1024, sampler, 3)
    logs = (np.log10([p["learning_rate"] for p in points]) + 4) / 2
    assert kstest(logs, "uniform").pvalue > 0.01
    assert kstest((np.array([p["discount"] for p in points]) - 0.9) * 10, "uniform").pvalue > 0.01
    sizes = np.bincount([p["batch_size"] for p in points])
    assert sizes[:3].sum() == 0
    assert np.all(np.abs(sizes[3:] - 256) < 60)
    assert abs(sum(p["schedule"] == "cosine" for p in points) - 512) < 80
    assert type(points[0]["batch_size"]) is int
    assert draw(space, 1024, sampler, 3) == points
    assert draw(space, 1024, sampler, 4) != points


def test_sobol_is_more_even_than_chance():
    space = checked_space(dqn(), {"discount": jaxrl.uniform(0.0, 1.0)})

    def gap(sampler):
        values = np.sort([p["discount"] for p in draw(space, 256, sampler, 0)])
        return np.abs(values - (np.arange(256) + 0.5) / 256).max()

    assert gap("sobol") < 1.01 / 256
    assert gap("random") > 4 / 256


def test_samples_are_dealt_evenly_over_the_grids():
    space = checked_space(dqn(), {"learning_rate": jaxrl.uniform(1e-3, 1e-2), "batch_size": [4, 8, 16]})
    points = draw(space, 20, "sobol", 0)
    counts = [sum(p["batch_size"] == size for p in points) for size in (4, 8, 16)]
    assert sorted(counts) == [6, 7, 7]
    assert len({p["learning_rate"] for p in points}) == 20


def test_the_ends_of_a_range_can_be_drawn():
    assert [Integers(2, 4).at(share) for share in (0.0, 0.34, 0.67, 0.999999)] == [2, 3, 4, 4]
    assert jaxrl.log_uniform(1e-4, 1e-2).at(0.5) == pytest.approx(1e-3)


def test_programs_are_those_of_the_static_fields_and_of_none():
    space = checked_space(
        dqn(), {"max_grad_norm": [None, 1.0, 2.0], "batch_size": [4, 8], "learning_rate": jaxrl.uniform(0.1, 0.2)}
    )
    programs = every_program(dqn(), space, most=100)
    assert {(p["max_grad_norm"], p["batch_size"]) for p in programs} == {(None, 4), (None, 8), (1.0, 4), (1.0, 8)}


def test_numpy_values_and_lists_become_plain():
    space = checked_space(dqn(), {"hidden": [[8], [4, 4]], "discount": np.linspace(0.5, 0.9, 3)})
    assert space["hidden"] == [(8,), (4, 4)]
    assert all(type(value) is float for value in space["discount"])


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"learning_rat": [1e-3]}, r"no field 'learning_rat'.*learning_rate"),
        ({"env.lenght": [1.0]}, r"no field 'env.lenght'.*env.length"),
        ({}, "space is empty"),
        ([1], "must be a dict"),
        ({"discount": []}, "empty list"),
        ({"discount": [0.9, 0.9]}, "0.9 twice"),
        ({"discount": 0.9}, "must be a list of values, or a distribution"),
        ({"discount": "0.9"}, "must be a list of values, or a distribution"),
        ({"discount": [0.9, 1.5]}, "DQN.discount = 1.5 must be"),
        ({"discount": jaxrl.uniform(0.5, 1.5)}, "DQN.discount = 1.5 must be"),
        ({"discount": [None, 0.9]}, "has None"),
        ({"batch_size": [0]}, "DQN.batch_size = 0 must be"),
        ({"hidden": ["wide"]}, "DQN.hidden = 'wide' must be"),
        ({"learning_rate": [float("nan")]}, "DQN.learning_rate = nan must be"),
        ({3: [0.9]}, "fields are named by text"),
    ],
)
def test_what_a_space_refuses(space, words):
    with pytest.raises((ValueError, TypeError), match=words):
        checked_space(dqn(), space)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: jaxrl.uniform(1, 1), "low must be less than high"),
        (lambda: jaxrl.uniform(0, float("inf")), "finite"),
        (lambda: jaxrl.log_uniform(0, 1), "low must be above 0"),
        (lambda: jaxrl.integers(1, 2.5), "whole"),
        (lambda: jaxrl.choice([]), "at least one value"),
    ],
)
def test_what_a_distribution_refuses(make, words):
    with pytest.raises(jaxrl.SpaceError, match=words):
        make()


@pytest.mark.parametrize(
    ("space", "trials", "words"),
    [
        ({"discount": [0.9, 0.99]}, 3, "the grids have 2 points"),
        ({"discount": jaxrl.uniform(0.5, 0.9)}, None, "trials says how many"),
        ({"discount": jaxrl.uniform(0.5, 0.9), "batch_size": [4, 8]}, 1, "fewer than the 2 points"),
        ({"discount": jaxrl.uniform(0.5, 0.9)}, 0, "trials = 0 must be at least 1"),
    ],
)
def test_how_many_trials_a_space_takes(space, trials, words):
    with pytest.raises(ValueError, match=words):
        draw(checked_space(dqn(), space), trials, "sobol", 0)


@jaxrl.pytree
class Counting(jaxrl.DQN):
    """An agent with leaves that are not single floats."""

    count: int = jaxrl.leaf(default=3)
    wind: Any = jaxrl.leaf(default=(0.0, 1.0))
    clip: Optional[float] = None  # noqa: UP045


def test_leaves_of_other_kinds():
    agent = Counting(dqn().env, wind=np.zeros(2, np.float32))
    for space, words in [
        ({"count": jaxrl.uniform(1, 5)}, "whole number: use jaxrl.integers"),
        ({"count": [2**40]}, "more than the 32 bits"),
        ({"wind": [np.zeros(2)]}, r"wind is an array of shape \(2,\)"),
    ]:
        with pytest.raises(jaxrl.SpaceError, match=words):
            checked_space(agent, space)
    assert checked_space(agent, {"clip": [None, 1.0], "count": [1, 2]})["clip"] == [None, 1.0]


def test_numpy_numbers_and_lists_in_distributions():
    assert jaxrl.uniform(np.float32(0.5), np.float64(1)) == jaxrl.uniform(0.5, 1.0)
    assert jaxrl.integers(np.int64(1), np.int8(3)) == jaxrl.integers(1, 3)
    assert jaxrl.choice([[4], [8]]) == jaxrl.choice([(4,), (8,)])


def test_every_field_has_a_path():
    paths = field_paths(dqn())
    assert {"learning_rate", "hidden", "max_grad_norm", "env.length", "env.max_steps"} <= set(paths)
