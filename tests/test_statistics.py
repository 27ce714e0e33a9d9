"""The statistics over seeds against values by hand and against NumPy alone."""

import warnings

import numpy as np
import pytest

from jaxrl.statistics import bootstrap_interval, forward_fill, interquartile_mean, quartiles


def numpy_interquartile_mean(values):
    ordered = np.sort(values)
    cut = len(ordered) // 4
    return ordered[cut : len(ordered) - cut].mean()


def test_interquartile_mean_by_hand():
    assert interquartile_mean([100, 1, 2, 3, 4, 5, 6, -50]) == 3.5
    assert interquartile_mean([1, 2, 9]) == 4.0  # a quarter of 3, rounded down, is none
    assert interquartile_mean([7.0]) == 7.0


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 30, 64])
def test_interquartile_mean_against_numpy(count):
    values = np.random.default_rng(count).normal(size=(3, count))
    expected = [numpy_interquartile_mean(row) for row in values]
    np.testing.assert_allclose(interquartile_mean(values), expected, rtol=1e-12)
    np.testing.assert_allclose(interquartile_mean(values.T, axis=0), expected, rtol=1e-12)


def test_nan_is_not_cut_off_as_if_it_were_the_best():
    result = interquartile_mean([[1, 2, 3, np.nan], [1, 2, 3, 9]])
    np.testing.assert_array_equal(result, [np.nan, 2.5])


def test_a_bad_member_counts_with_its_value():
    assert interquartile_mean([9, 9, 500, 500]) == 254.5


@pytest.mark.parametrize("values", [[], 3.0, np.zeros((2, 0))])
def test_no_value_is_refused(values):
    with pytest.raises(ValueError, match="at least one value"):
        interquartile_mean(values)


@pytest.mark.parametrize(
    ("statistic", "alone"), [(interquartile_mean, numpy_interquartile_mean), (np.median, np.median)]
)
def test_bootstrap_interval_against_numpy(statistic, alone):
    values = np.random.default_rng(0).gamma(2.0, 50.0, 24)
    draws = np.random.default_rng(1).choice(values, (4_000, 24))
    expected = np.percentile([alone(draw) for draw in draws], [2.5, 97.5])
    low, high = bootstrap_interval(values, statistic)
    # Both ends are quantiles of some thousand draws: they agree to a few hundredths of the width.
    np.testing.assert_allclose([low, high], expected, atol=0.06 * (high - low))


def test_bootstrap_interval_is_repeatable_and_widens_with_confidence():
    values = np.random.default_rng(0).normal(size=20)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)
    narrow, wide = bootstrap_interval(values, confidence=0.5), bootstrap_interval(values, confidence=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_degenerate_values_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bootstrap_interval(np.full(16, 500.0)) == (500.0, 500.0)
        np.testing.assert_array_equal(bootstrap_interval([500.0]), [np.nan, np.nan])
        np.testing.assert_array_equal(bootstrap_interval([1.0, np.nan, 3.0]), [np.nan, np.nan])


def test_bad_arguments_of_the_bootstrap_are_refused():
    with pytest.raises(ValueError, match="one number a seed"):
        bootstrap_interval(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="one number a seed"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="confidence = 95"):
        bootstrap_interval([1.0, 2.0], confidence=95)


def test_quartiles_leave_out_what_is_not_finite_without_warnings():
    values = np.array([[1.0, np.nan, 4.0], [2.0, np.nan, np.inf], [3.0, np.nan, 8.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = quartiles(values)
    np.testing.assert_array_equal(result, [[1.5, np.nan, 5.0], [2.0, np.nan, 6.0], [2.5, np.nan, 7.0]])


def test_held_fills_gaps_with_the_value_before():
    values = [[np.nan, 1.0, np.nan, np.inf, 2.0], [3.0, np.nan, np.nan, 4.0, np.nan]]
    expected = [[np.nan, 1.0, 1.0, 1.0, 2.0], [3.0, 3.0, 3.0, 4.0, 4.0]]
    np.testing.assert_array_equal(forward_fill(values), expected)
