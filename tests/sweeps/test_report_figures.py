"""What the figures of a sweep's page hold, against NumPy and pandas."""

import numpy as np
import pytest
from sweep_frames import AXES, make_sweep

from jaxrl.sweeps import effects, figures
from jaxrl.sweeps.scales import binned_medians, explained, make_scale, make_trials

pandas = pytest.importorskip("pandas")
pytest.importorskip("plotly")
pytestmark = pytest.mark.filterwarnings("error")


def test_intervals_reach_from_low_to_high():
    sweep = make_sweep()
    trials = make_trials(sweep.ranking, sweep.axes)
    figure = figures.interval_figure(trials.take(np.arange(6)), threshold=float(sweep.ranking.high[0]) - 0.1)
    dots, best = figure.data[0], sweep.ranking.head(6)
    np.testing.assert_array_equal(dots.x, best.interquartile_mean)
    np.testing.assert_allclose(dots.x + dots.error_x.array, best.high)
    np.testing.assert_allclose(dots.x - dots.error_x.arrayminus, best.low)
    assert [annotation.y for annotation in figure.layout.annotations] == list(dots.y) == list(range(6))
    low, high = figure.layout.yaxis.range
    assert low > high  # the best at the top
    for row, annotation in enumerate(figure.layout.annotations):
        text = annotation.text.replace("<br>", " ")
        assert text.startswith(f"<b>{row + 1}. trial {best.trial[row]}</b> learning_rate={best.learning_rate[row]:.4g}")
        assert f"double={best.double[row]}, hidden={best.hidden[row]}" in text
        assert f"probability of being the best {best.probability_best[row]:.1%}" in dots.text[row]
    lines = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert [line.x0 for line in lines] == [float(sweep.ranking.high[0]) - 0.1]


def test_bands_are_quartiles_of_held_returns():
    rows = [
        *[(0, 10, 4.0), (0, 20, np.nan), (0, 30, 8.0)],
        *[(1, 10, np.nan), (1, 20, 2.0), (1, 30, np.nan)],
        *[(2, 20, 9.0), (2, 10, 3.0)],  # in another order, and stopped
    ]
    frame = pandas.DataFrame(rows, columns=["seed", "step", "episode_return"])
    steps, found, seeds = figures.bands(frame.sample(frac=1, random_state=0))
    held = np.array([[4, 4, 8], [np.nan, 2, 2], [3, 9, 9]])
    assert seeds == 3
    np.testing.assert_array_equal(steps, [10, 20, 30])
    np.testing.assert_allclose(found, np.nanpercentile(held, (25, 50, 75), axis=0))


def test_learning_curves_of_the_best():
    sweep = make_sweep(log_points=40)
    trials = make_trials(sweep.ranking, sweep.axes).take(np.arange(5))
    figure = figures.learning_figure(trials, sweep.curves, threshold=123.0)
    named = [trace for trace in figure.data if trace.name]
    assert [trace.name.split(":")[0] for trace in named] == [
        *(f"{row + 1}. trial {trial}" for row, trial in enumerate(sweep.ranking.trial[:5])),
        "solved",
    ]
    assert len({trace.line.color for trace in named}) == 6
    assert (list(named[-1].y), named[-1].line.dash) == ([123.0, 123.0], "dash")
    for number, line in zip(sweep.ranking.trial[:5], named, strict=False):
        lower, upper, _ = (trace for trace in figure.data if trace.legendgroup == str(number))
        steps, expected, _ = figures.bands(sweep.curves[sweep.curves.trial == number])
        np.testing.assert_array_equal(line.x, steps)
        np.testing.assert_array_equal([lower.y, line.y, upper.y], expected)
        assert upper.fill == "tonexty"


def test_marginals_of_numbers_have_medians_of_bins():
    sweep = make_sweep(trials=64)
    trials = effects.drawn(make_trials(sweep.ranking, sweep.axes))
    scored = sweep.ranking.dropna(subset=["interquartile_mean"])
    rate, discount, batch, *_ = trials.scales
    dots, line = effects.marginal_figure(trials, rate).data
    np.testing.assert_array_equal(dots.x, scored.learning_rate)
    np.testing.assert_array_equal(dots.y, scored.interquartile_mean)
    edges = np.quantile(scored.learning_rate, np.linspace(0, 1, len(line.x) + 1))
    assert len(line.x) >= 4
    for least, most, x, y in zip(edges, [*edges[1:-1], 1.0], line.x, line.y, strict=False):
        part = scored[(scored.learning_rate >= least) & (scored.learning_rate < most)]
        assert abs(len(part) - len(scored) / len(line.x)) <= 1
        assert (x, y) == (part.learning_rate.median(), part.interquartile_mean.median())
    x, y, counts = binned_medians(batch, trials.score, 4)
    groups = scored.groupby("batch_size").interquartile_mean
    assert dict(zip(x, y, strict=True)) == dict(groups.median())
    assert list(counts) == list(groups.size())
    assert effects.marginal_figure(trials, rate).layout.xaxis.type == "log"
    assert effects.marginal_figure(trials, discount).layout.xaxis.type == "linear"
    few = effects.drawn(make_trials(make_sweep(trials=8).ranking, AXES))
    assert len(effects.marginal_figure(few, few.scales[0]).data) == 1  # too few for medians


def test_marginals_of_categories_have_boxes():
    sweep = make_sweep(trials=40)
    trials = effects.drawn(make_trials(sweep.ranking, sweep.axes))
    figure = effects.marginal_figure(trials, trials.scales[4])
    scored = sweep.ranking.dropna(subset=["interquartile_mean"])
    assert figure.layout.xaxis.ticktext == ("64-64", "128-128")
    for place, name in enumerate(("64-64", "128-128")):
        box = figure.data[place]
        assert (box.type, box.x0) == ("box", place)
        np.testing.assert_array_equal(box.y, scored.interquartile_mean[scored.hidden == name])
    dots = figure.data[2]
    np.testing.assert_array_equal(np.round(dots.x), scored.hidden == "128-128")
    np.testing.assert_array_equal(dots.customdata, scored.trial)


def test_the_hyperparameter_that_tells_most_comes_first():
    sweep = make_sweep(trials=64)
    trials = effects.drawn(make_trials(sweep.ranking, sweep.axes))
    assert effects.by_telling(trials)[0].path == "learning_rate"
    scale = make_scale("double", [False, False, True, True, True])
    assert explained(scale, np.array([0.0, 2.0, 5.0, 6.0, 7.0])) == pytest.approx(np.var([1, 1, 6, 6, 6]))


def test_pairs_of_lists_are_cells_of_medians():
    sweep = make_sweep(trials=50)
    trials = effects.drawn(make_trials(sweep.ranking, sweep.axes))
    _, _, batch, double, hidden = trials.scales
    figure = effects.pair_figure(trials, batch, double, effects.colour_range(trials))
    scored = sweep.ranking.dropna(subset=["interquartile_mean"])
    medians = scored.pivot_table(index="double", columns="batch_size", values="interquartile_mean", aggfunc="median")
    np.testing.assert_array_equal(figure.data[0].z, medians)
    assert np.sum(figure.data[0].customdata) == len(scored)
    assert figure.layout.xaxis.ticktext == ("32", "64", "128")
    trials = trials.take((double.positions == 0) | (hidden.positions == 0))
    cells = effects.pair_figure(trials, trials.scales[3], trials.scales[4], (0, 1)).data[0]
    assert np.isnan(cells.z).tolist() == [[False, False], [False, True]]
    assert cells.customdata[1, 1] == 0


def test_parallel_coordinates_hold_every_axis_and_the_score():
    sweep = make_sweep(trials=40)
    trials = effects.drawn(make_trials(sweep.ranking, sweep.axes))
    lines = effects.parallel_figure(trials, effects.colour_range(trials)).data[0]
    scored = sweep.ranking.dropna(subset=["interquartile_mean"])[::-1]  # the best last, on top
    labels = [dimension.label for dimension in lines.dimensions]
    assert labels == [*(axis.path for axis in AXES), "interquartile<br>mean"]
    np.testing.assert_allclose(lines.dimensions[0]["values"], np.log10(scored.learning_rate))
    assert dict(zip(lines.dimensions[0].ticktext, lines.dimensions[0].tickvals, strict=True))["0.001"] == -3
    np.testing.assert_array_equal(lines.dimensions[1]["values"], scored.discount)
    np.testing.assert_array_equal(np.round(lines.dimensions[4]["values"]), scored.hidden == "128-128")
    assert lines.dimensions[4].ticktext == ("64-64", "128-128")
    np.testing.assert_array_equal(lines.dimensions[5]["values"], scored.interquartile_mean)
    np.testing.assert_array_equal(lines.line.color, scored.interquartile_mean)


def test_scales_of_odd_values():
    scale = make_scale("clip", [None, 1.0, 10.0, None, 100.0, 5.0], log=True)
    assert scale.log
    assert scale.positions[0] < 1
    assert scale.texts == ["none", "1", "10", "none", "100", "5"]
    assert scale.ticks()[1][0] == "none"
    assert not make_scale("decay", [0.0, 1e-3, 1e-2], log=True).log  # zero has no logarithm
    assert make_scale("double", [True, False, None]).categories == ("none", "False", "True")
    assert make_scale("hidden", ["128-128", "64-64", "8"], categorical=True).categories == ("8", "64-64", "128-128")
    assert make_scale("mixed", ["auto", 3, 0.5]).categories == ("0.5", "3", "auto")
    assert make_scale("bound", [1.0, float("inf")]).categories == ("1", "inf")
    assert make_scale("nothing", [None, None]).categories == ("none",)
    assert make_scale("steps", [100_000, 250_000]).texts == ["100000", "250000"]
    discounts = make_scale("discount", [0.99, 0.99995, 0.99999])
    assert discounts.texts == ["0.99", "0.99995", "0.99999"]


@pytest.mark.parametrize(("least", "most"), [(1e-5, 3e-2), (1e-3, 2e-3), (0.1, 0.1), (1, 64), (1e-12, 1e6)])
def test_log_axes_have_marks_in_reach(least, most):
    positions, texts = make_scale("rate", np.geomspace(least, most, 40).tolist(), log=True).ticks()
    assert 1 <= len(positions) == len(set(texts)) <= 20
    assert (positions >= least * 0.89).all()
    assert (positions <= most * 1.11).all()
