"""The ranking of trials, against the statistics that it is made of."""

import numpy as np
import pytest
from scipy.stats import trim_mean

from jaxrl.statistics import bootstrap_interval
from jaxrl.sweeps.ranking import rank


def test_the_order_and_scores_are_those_of_interquartile_means():
    returns = np.random.default_rng(0).normal(size=(50, 16)) + np.linspace(0, 2, 50)[:, None]
    ranked = rank(np.arange(100, 150), returns)
    scores = trim_mean(returns, 0.25, axis=1)
    np.testing.assert_array_equal(ranked["trial"], 100 + np.argsort(-scores))
    np.testing.assert_allclose(ranked.score, np.sort(scores)[::-1])


def test_the_intervals_are_those_of_the_bootstrap():
    returns = np.random.default_rng(1).normal(size=(3, 16)) * 10
    ranked = rank(np.arange(3), returns)
    for place, trial in enumerate(ranked["trial"]):
        low, high = bootstrap_interval(returns[trial])
        width = high - low
        assert ranked.low[place] == pytest.approx(low, abs=0.1 * width)
        assert ranked.high[place] == pytest.approx(high, abs=0.1 * width)


def test_how_sure_the_best_is():
    apart = np.stack([np.arange(8.0), 100 + np.arange(8.0)])
    assert rank(np.arange(2), apart).probability_best.tolist() == [1.0, 0.0]
    rng = np.random.default_rng(2)
    close = rng.normal(size=(2, 400))
    share = rank(np.arange(2), close).probability_best
    assert share.sum() == pytest.approx(1)
    # Of two trials whose difference is d standard errors: the chance that the better one stays ahead.
    trimmed = trim_mean(close, 0.25, axis=1)
    assert abs(trimmed[0] - trimmed[1]) < 0.2
    assert 0.5 < share[0] < 0.999


def test_equals_share_the_chance_of_being_the_best():
    assert rank(np.arange(4), np.full((4, 16), 500.0)).probability_best.tolist() == [0.25] * 4


def test_no_trial_is_no_error():
    assert len(rank(np.arange(0), np.zeros((0, 3))).score) == 0


def test_trials_that_came_further_rank_before_the_others():
    returns = np.asarray([[5.0, 5.0], [1.0, 1.0], [9.0, 9.0]])
    ranked = rank(np.arange(3), returns, rungs=np.asarray([1, 1, 0]))
    assert ranked["trial"].tolist() == [0, 1, 2]
    assert ranked.probability_best.tolist() == [1.0, 0.0, 0.0]


def test_no_return_counts_as_less_than_any():
    ranked = rank(np.arange(2), np.asarray([[np.nan] * 4, [-5.0] * 4]))
    assert ranked["trial"].tolist() == [1, 0]
    assert np.isnan(ranked.score[1])
    assert np.isnan(ranked.low[1])
    one_bad = rank(np.arange(1), np.asarray([[np.nan, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]))
    assert one_bad.score[0] == 1.0


def test_a_seed_that_diverged_counts_as_less_than_any():
    # Trial 0 has the greatest returns, but half of its seeds diverged; one of trial 1 did, which the mean leaves out.
    returns = np.asarray([[600.0] * 4, [500.0] * 4, [500.0] * 4])
    lost = np.asarray([[True, True, False, False], [True, False, False, False], [False] * 4])
    ranked = rank(np.arange(3), returns, diverged=lost)
    assert ranked["trial"].tolist() == [2, 1, 0]
    assert ranked.diverged.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(ranked.score, [500.0, 500.0, np.nan])
    # Where equals lead, those with the fewest diverged seeds are the best. Trial 0 leads in resamples of the two
    # other seeds (600), in which at most one of four draws is of a lost one.
    chance = 0.5**4 + 4 * 0.5**4
    np.testing.assert_allclose(ranked.probability_best, [1 - chance, 0, chance], atol=0.03)
    assert np.isnan(ranked.low[2])
    assert rank(np.arange(2), np.full((2, 1), 5.0), diverged=np.asarray([[True], [False]]))["trial"].tolist() == [1, 0]


def test_where_no_trial_has_a_score_none_is_the_best():
    ranked = rank(np.arange(2), np.full((2, 4), 5.0), diverged=np.ones((2, 4), bool))
    assert np.isnan([ranked.score, ranked.probability_best]).all()
    # Only the second came to the last rung, where all of it diverged: that the first was stopped makes it no winner.
    lost = np.asarray([[False] * 4, [True] * 4])
    ranked = rank(np.arange(2), np.full((2, 4), 5.0), rungs=np.asarray([0, 1]), diverged=lost)
    assert np.isnan(ranked.probability_best).all()


def test_the_lost_beyond_one_part_of_the_resamples(monkeypatch):
    monkeypatch.setattr("jaxrl.sweeps.ranking._NUMBERS_AT_ONCE", 1)
    lost = np.zeros((5, 4), bool)
    lost[:4, 0] = True
    assert rank(np.arange(5), np.full((5, 4), 5.0), diverged=lost).probability_best.tolist()[0] > 0.6
    assert rank(np.arange(5), np.full((5, 4), 5.0), diverged=lost)["trial"][0] == 4


def test_one_seed_says_nothing_of_the_spread():
    ranked = rank(np.arange(2), np.asarray([[1.0], [2.0]]))
    assert ranked["trial"].tolist() == [1, 0]
    assert np.isnan([ranked.low, ranked.high, ranked.probability_best]).all()
