"""What the figures of a sweep's page hold, against NumPy and pandas."""

import numpy as np
import pytest
from sweep_frames import SPACE, make_sweep

import jaxrl
from jaxrl.sweeps import figures
from jaxrl.sweeps.report import by_explained_variance, colour_limits, trials_table

pandas = pytest.importorskip("pandas")
pytest.importorskip("plotly")
pytestmark = pytest.mark.filterwarnings("error")


def trials_of(sweep):
    """Those with a score, best first."""
    return trials_table(sweep.ranking, sweep.space, sweep.values).dropna(subset=["score"])


def test_intervals_reach_from_low_to_high():
    sweep = make_sweep()
    figure = figures.interval_figure(trials_of(sweep).head(6), threshold=float(sweep.ranking.high[0]) - 0.1)
    dots, best = figure.data[0], sweep.ranking.head(6)
    np.testing.assert_array_equal(dots.x, best.score)
    np.testing.assert_allclose(dots.x + dots.error_x.array, best.high)
    np.testing.assert_allclose(dots.x - dots.error_x.arrayminus, best.low)
    assert [annotation.y for annotation in figure.layout.annotations] == list(dots.y) == list(range(6))
    low, high = figure.layout.yaxis.range
    assert low > high  # the best at the top
    for row, annotation in enumerate(figure.layout.annotations):
        text = annotation.text.replace("<br>", " ")
        assert text.startswith(f"<b>{row + 1}. trial {best.trial[row]}</b> learning_rate={best.learning_rate[row]:.4g}")
        assert f"double={best.double[row]}, hidden={'-'.join(map(str, best.hidden[row]))}" in text
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
    steps, found, seeds = figures.learning_bands(frame.sample(frac=1, random_state=0))
    held = np.array([[4, 4, 8], [np.nan, 2, 2], [3, 9, 9]])
    assert seeds == 3
    np.testing.assert_array_equal(steps, [10, 20, 30])
    np.testing.assert_allclose(found, np.nanpercentile(held, (25, 50, 75), axis=0))


def test_learning_curves_of_the_best():
    sweep = make_sweep(log_points=40)
    figure = figures.learning_figure(trials_of(sweep).head(5), sweep.curves, threshold=123.0)
    named = [trace for trace in figure.data if trace.name]
    assert [trace.name.split(":")[0] for trace in named] == [
        *(f"{row + 1}. trial {trial}" for row, trial in enumerate(sweep.ranking.trial[:5])),
        "solved",
    ]
    assert len({trace.line.color for trace in named}) == 6
    assert (list(named[-1].y), named[-1].line.dash) == ([123.0, 123.0], "dash")
    for number, line in zip(sweep.ranking.trial[:5], named, strict=False):
        lower, upper, _ = (trace for trace in figure.data if trace.legendgroup == str(number))
        steps, expected, _ = figures.learning_bands(sweep.curves[sweep.curves.trial == number])
        np.testing.assert_array_equal(line.x, steps)
        np.testing.assert_array_equal([lower.y, line.y, upper.y], expected)
        assert upper.fill == "tonexty"


def test_marginals_of_ranges_have_medians_of_bins():
    sweep = make_sweep(trials=64)
    trials = trials_of(sweep)
    scored = sweep.ranking.dropna(subset=["score"])
    dots, line = figures.marginal_figure(trials, "learning_rate", log=True).data
    np.testing.assert_array_equal(dots.x, scored.learning_rate)
    np.testing.assert_array_equal(dots.y, scored.score)
    edges = np.quantile(scored.learning_rate, np.linspace(0, 1, len(line.x) + 1))
    assert len(line.x) >= 4
    for least, most, x, y in zip([0.0, *edges[1:]], edges[1:], line.x, line.y, strict=False):
        part = scored[(scored.learning_rate > least) & (scored.learning_rate <= most)]
        assert abs(len(part) - len(scored) / len(line.x)) <= 1
        assert (x, y) == (part.learning_rate.median(), part.score.median())
    assert figures.marginal_figure(trials, "learning_rate", log=True).layout.xaxis.type == "log"
    assert figures.marginal_figure(trials, "discount", log=False).layout.xaxis.type == "linear"
    few = trials_of(make_sweep(trials=8))
    assert len(figures.marginal_figure(few, "learning_rate", log=True).data) == 1  # too few for medians


def test_marginals_of_lists_have_boxes():
    sweep = make_sweep(trials=40)
    figure = figures.marginal_figure(trials_of(sweep), "hidden", log=False)
    scored = sweep.ranking.dropna(subset=["score"])
    assert figure.layout.xaxis.ticktext == ("64-64", "128-128")
    for place, value in enumerate([(64, 64), (128, 128)]):
        box = figure.data[place]
        assert (box.type, box.x0) == ("box", place)
        np.testing.assert_array_equal(box.y, scored.score[scored.hidden == value])
    dots = figure.data[2]
    np.testing.assert_array_equal(np.round(dots.x), scored.hidden == (128, 128))
    np.testing.assert_array_equal(dots.customdata, scored.trial)


def test_the_hyperparameter_that_explains_most_comes_first():
    trials = trials_of(make_sweep(trials=64))
    assert by_explained_variance(trials, list(SPACE))[0] == "learning_rate"
    assert by_explained_variance(trials.head(0), list(SPACE)) == []
    table = pandas.DataFrame(
        {"double": pandas.Categorical([0, 0, 1, 1, 1]), "score": [0.0, 2.0, 5.0, 6.0, 7.0], "rate": 1.0}
    )
    assert figures.explained_variance(table, "double") == pytest.approx(np.var([1, 1, 6, 6, 6]))
    assert figures.explained_variance(table, "rate") == 0.0


def test_pairs_of_lists_are_cells_of_medians():
    sweep = make_sweep(trials=50)
    trials = trials_of(sweep)
    figure = figures.pair_figure(trials, ("batch_size", "double"), (False, False), colour_limits(trials))
    scored = sweep.ranking.dropna(subset=["score"])
    medians = scored.pivot_table(index="double", columns="batch_size", values="score", aggfunc="median")
    np.testing.assert_array_equal(figure.data[0].z, medians)
    assert np.sum(figure.data[0].customdata) == len(scored)
    assert figure.layout.xaxis.ticktext == ("32", "64", "128")
    trials = trials[(trials.double == "False") | (trials.hidden == "64-64")]
    cells = figures.pair_figure(trials, ("double", "hidden"), (False, False), (0, 1)).data[0]
    assert np.isnan(cells.z).tolist() == [[False, False], [False, True]]
    assert cells.customdata[1, 1] == 0


def test_parallel_coordinates_hold_every_axis_and_the_score():
    sweep = make_sweep(trials=40)
    trials = trials_of(sweep)
    log = {name: name == "learning_rate" for name in SPACE}
    lines = figures.parallel_figure(trials, log, colour_limits(trials)).data[0]
    scored = sweep.ranking.dropna(subset=["score"])[::-1]  # the best last, on top
    assert [dimension.label for dimension in lines.dimensions] == [*SPACE, "interquartile<br>mean"]
    np.testing.assert_allclose(lines.dimensions[0]["values"], np.log10(scored.learning_rate))
    assert dict(zip(lines.dimensions[0].ticktext, lines.dimensions[0].tickvals, strict=True))["0.001"] == -3
    np.testing.assert_array_equal(lines.dimensions[1]["values"], scored.discount)
    np.testing.assert_array_equal(np.round(lines.dimensions[4]["values"]), scored.hidden == (128, 128))
    assert lines.dimensions[4].ticktext == ("64-64", "128-128")
    np.testing.assert_array_equal(lines.dimensions[5]["values"], scored.score)
    np.testing.assert_array_equal(lines.line.color, scored.score)


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ([None, 1.0, 100], ["none", "1", "100"]),
        (jaxrl.choice([(128, 128), (8,)]), ["128-128", "8"]),
        (jaxrl.choice([8, 8, 4]), ["8", "4"]),
        ([0.99, 0.99995, 0.99999], ["0.99", "0.99995", "0.99999"]),
        (["none", None], ["none (0)", "none (1)"]),
    ],
)
def test_lists_keep_their_order_and_tell_their_values_apart(entry, names):
    values = entry.values if isinstance(entry, jaxrl.sweeps.Distribution) else entry
    sweep = make_sweep(trials=len(values), space={"field": entry}, field=list(values))
    column = trials_table(sweep.ranking, sweep.space, sweep.values)["field"]
    assert list(column.cat.categories) == names
    for trial, name in zip(sweep.ranking.trial, column, strict=True):
        assert entry_name(values, names, trial) == name


def entry_name(values, names, trial):
    return names[list(dict.fromkeys(values)).index(values[trial])]


def test_ranges_are_numbers_on_the_axes_that_their_space_says():
    trials = trials_of(make_sweep())
    assert trials["learning_rate"].dtype == trials["discount"].dtype == float
    assert [figures.is_list(trials[name]) for name in SPACE] == [False, False, True, True, True]
