"""What a run leaves: read back by the libraries that people read it with."""

import subprocess
import sys
import types

import numpy as np
import pytest

import jaxrl
from jaxrl.agents.dqn import DQN
from jaxrl.charts import write_curves
from jaxrl.run_report import metrics_table, summary_rows, write_metrics, write_tensorboard


def make_result(members=4, log_points=5, env="CartPole-v1", vary=None):
    draw = np.random.default_rng(0)
    episode_return = draw.uniform(10, 500, (members, log_points)).astype(np.float32)
    episode_return[:, 0] = np.nan
    log = {
        "step": np.tile(np.arange(1, log_points + 1, dtype=np.float32) * 1_000, (members, 1)),
        "loss": draw.uniform(size=(members, log_points)).astype(np.float32),
        "episode_return": episode_return,
        "episode_length": (episode_return * 0.5).astype(np.float32),
        "diverged": np.zeros((members, log_points), bool),
    }
    agent = DQN(jaxrl.make(env))
    seeds = np.arange(members) + 7
    return types.SimpleNamespace(agent=agent, vary=vary or {}, seeds=seeds, log=log, seconds=4.0, compile_seconds=2.5)


def test_parquet_holds_one_row_a_member_and_log_point(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    vary = {"env.length": np.array([0.25, 0.5, 1, 2], np.float32), "loss": np.arange(4.0)}
    result = make_result(vary=vary)
    result.log["step"][3, 4] = np.nan
    result.log["diverged"][2, 3:] = True
    write_metrics(result, tmp_path / "metrics.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.parquet"]
    table = parquet.read_table(tmp_path / "metrics.parquet")
    assert {name: str(table.schema.field(name).type) for name in table.column_names} == {
        "member": "int32",
        "seed": "int64",
        "env.length": "float",
        "agent.loss": "double",
        "step": "int64",
        "episode_return": "float",
        "episode_length": "float",
        "loss": "float",
        "diverged": "bool",
    }
    assert table.num_rows == 20
    assert table.slice(13, 1).to_pylist() == [
        {
            "member": 2,
            "seed": 9,
            "env.length": 1.0,
            "agent.loss": 2.0,
            "step": 4_000,
            "episode_return": float(result.log["episode_return"][2, 3]),
            "episode_length": float(result.log["episode_length"][2, 3]),
            "loss": float(result.log["loss"][2, 3]),
            "diverged": True,
        }
    ]
    assert table["step"].to_pylist()[-1] is None
    np.testing.assert_array_equal(table["episode_return"].to_numpy().reshape(4, 5), result.log["episode_return"])


def test_varied_arrays_become_lists():
    table = metrics_table(make_result(vary={"weights": np.arange(8.0).reshape(4, 2)}))
    assert table["weights"].to_pylist()[5] == [2.0, 3.0]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "metrics.parquet"
    write_metrics(make_result(), path)
    before = path.read_bytes()
    broken = make_result(members=6)
    broken.log["loss"] = broken.log["loss"][:2]
    with pytest.raises(ValueError, match="length"):
        write_metrics(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def read_scalars(folder, name):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_tensorboard_holds_quartiles_against_steps(tmp_path):
    result = make_result(members=5)
    result.log["diverged"][0, 4] = True
    earlier = [
        tmp_path / "events.out.tfevents.1.host",
        tmp_path / "member-00004-seed-99" / "events.out.tfevents.1.host",
    ]
    for file in earlier:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    write_tensorboard(result, tmp_path)
    assert not any(file.exists() for file in earlier)
    for folder, percent in ((tmp_path, 50), (tmp_path / "lower_quartile", 25), (tmp_path / "upper_quartile", 75)):
        actual = read_scalars(folder, "episode_length")
        expected = np.percentile(result.log["episode_length"][:, 1:], percent, axis=0)
        assert [step for step, _ in actual] == [2_000, 3_000, 4_000, 5_000]  # no episode ended in the first log point
        np.testing.assert_allclose([value for _, value in actual], expected, rtol=1e-6)
    assert len(read_scalars(tmp_path, "loss")) == 5
    assert read_scalars(tmp_path, "diverged")[-1] == (5_000, pytest.approx(0.2))
    own = read_scalars(tmp_path / "member-00002-seed-9", "episode_return")
    np.testing.assert_array_equal([value for _, value in own], result.log["episode_return"][2, 1:])


def test_many_members_write_few_event_files(tmp_path):
    result = make_result(members=1_024, log_points=2)
    write_tensorboard(result, tmp_path)
    assert len(list(tmp_path.rglob("events.out.tfevents.*"))) == 3 + 8
    last = result.log["episode_return"][:, -1]
    for member in (last.argmin(), last.argmax()):
        assert (tmp_path / f"member-{member:05d}-seed-{member + 7}").is_dir()


def evaluated(result):
    """The result with an evaluation in every other log point, of returns around 250; NaN in the others."""
    members, log_points = result.log["step"].shape
    returns = np.random.default_rng(2).normal(250, 40, (members, log_points)).astype(np.float32)
    returns[:, ::2] = np.nan
    result.log["evaluation_return"] = returns
    result.evaluation_seconds = 1.0
    return result


def test_evaluations_stand_beside_the_other_metrics(tmp_path):
    result = evaluated(make_result(members=5))
    write_tensorboard(result, tmp_path)
    for folder, percent in ((tmp_path, 50), (tmp_path / "lower_quartile", 25), (tmp_path / "upper_quartile", 75)):
        actual = read_scalars(folder, "evaluation_return")
        assert [step for step, _ in actual] == [2_000, 4_000]
        expected = np.percentile(result.log["evaluation_return"][:, 1::2], percent, axis=0)
        np.testing.assert_allclose([value for _, value in actual], expected, rtol=1e-6)
    column = metrics_table(result)["evaluation_return"].to_numpy().reshape(5, 5)
    np.testing.assert_array_equal(column, result.log["evaluation_return"])
    assert ("evaluations in training", "2, 1.00 s (20.0% of the time without compiling)") in summary_rows(result)
    assert "evaluations in training" not in dict(summary_rows(make_result()))


def pixels(path):
    image = pytest.importorskip("PIL.Image")
    with image.open(path) as opened:
        return np.asarray(opened.convert("RGB"), np.float64)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("members", [1, 2, 64])
def test_the_chart_is_drawn(tmp_path, members):
    result = make_result(members, log_points=20)
    result.log["episode_length"] = result.log["episode_return"]
    path = tmp_path / "curves.png"
    write_curves(result, path)
    in_training = pixels(path)
    assert in_training.shape == (900, 2_040, 3)
    blue = (np.abs(in_training - (0, 114, 178)).sum(-1) < 30).sum()
    assert blue > 2_000
    write_curves(result, path, np.random.default_rng(1).uniform(400, 500, (members, 3)))
    assert np.abs(pixels(path) - in_training).max() > 100
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("members", [1, 64])
def test_the_chart_has_the_evaluations_with_their_interval(tmp_path, members):
    orange, band = (213, 94, 0), np.array((213, 94, 0)) * 0.25 + 255 * 0.75
    result = make_result(members, log_points=20)
    result.log["episode_return"][:] = 500  # out of the way
    result.log["episode_length"] = result.log["episode_return"]
    counts = []
    for change in (lambda result: result, evaluated):
        write_curves(change(result), tmp_path / "curves.png")
        image = pixels(tmp_path / "curves.png")[200:, :1_200]  # the first panel, below its legend
        counts.append([(np.abs(image - color).sum(-1) < 12).sum() for color in (orange, band)])
    assert counts[0] == [0, 0]
    assert counts[1][0] > 1_000
    assert (counts[1][1] > 1_000) == (members > 1)


def test_the_interval_of_the_evaluations_is_that_of_the_interquartile_mean(tmp_path):
    from matplotlib.figure import Figure
    from scipy.stats import trim_mean

    from jaxrl.charts import _draw_evaluations

    result = evaluated(make_result(64, log_points=20))
    result.log["evaluation_return"][5] = np.nan  # a member whose returns are no numbers
    axes = Figure().subplots()
    _draw_evaluations(axes, result, np.arange(20.0))
    (line,), (band,) = axes.lines, axes.collections
    returns = np.delete(result.log["evaluation_return"], 5, axis=0)[:, 1::2].astype(np.float64)
    np.testing.assert_allclose(line.get_xydata(), np.stack([np.arange(1, 20, 2), trim_mean(returns, 0.25, 0)], axis=1))
    # The interquartile mean of 63 normal numbers has about 1.1 times the standard error of their mean.
    corners = band.get_paths()[0].vertices
    heights = [np.ptp(corners[corners[:, 0] == x, 1]) for x in range(1, 20, 2)]
    np.testing.assert_allclose(np.mean(heights), 2 * 1.96 * 1.1 * 40 / 63**0.5, rtol=0.15)


@pytest.mark.filterwarnings("error")
def test_the_chart_of_odd_results(tmp_path):
    settings = make_result(4, vary={"learning_rate": np.array([1e-3, 1e-3, 1e-2, 1e-2])}, env="PlaneStrike-v0")
    write_curves(settings, tmp_path / "length.png", np.full((4, 3), 8.0))
    assert pixels(tmp_path / "length.png").shape == (900, 2_640, 3)
    nothing = make_result(3)
    nothing.log["episode_return"][:] = nothing.log["episode_length"][:] = nothing.log["step"][:] = np.nan
    write_curves(nothing, tmp_path / "nothing.png")
    assert pixels(tmp_path / "nothing.png").std() > 1
    nothing = evaluated(nothing)
    nothing.log["evaluation_return"][:] = np.nan
    write_curves(nothing, tmp_path / "nothing.png")
    assert pixels(tmp_path / "nothing.png").std() > 1


def test_the_chart_says_what_was_trained():
    from jaxrl.charts import _title

    assert _title(make_result(1)) == "DQN on CartPole-v1, 1 seed"
    assert _title(make_result(1_024, 1)) == "DQN on CartPole-v1, 1,024 seeds"
    result = make_result(4, vary={"discount": np.array([0.9, 0.9, 0.5, 0.5])})
    result.seeds = np.array([0, 1, 0, 1])
    result.agent = DQN(jaxrl.make("CartPole-v1", length=2.0))
    assert _title(result) == "DQN on CartPole, 4 members: 2 settings x 2 seeds"


def test_summary_rows():
    result = make_result(4)
    result.log["diverged"][1, 2:] = True
    env = types.SimpleNamespace(solved_return=475.0)
    result.agent = types.SimpleNamespace(env=env)
    returns = np.array([[500, 490], [475, 475], [470, 471], [9, 11]], np.float32)
    rows = dict(summary_rows(result, returns))
    mean = rows.pop("greedy return, interquartile mean")
    assert mean.startswith("472.75 (95% interval ")
    assert rows == {
        "members": "4",
        "environment steps": "20,000 (5,000 a member)",
        "steps per second": "5,000",
        "compile seconds": "2.5",
        "greedy return, median": "472.75",
        "solved (mean return >= 475)": "50.0% (2 of 4)",
        "diverged": "1 of 4",
    }


def test_summary_of_one_seed_claims_no_interval():
    result = make_result(1)
    result.agent = types.SimpleNamespace(env=object())
    rows = dict(summary_rows(result, np.full((1, 3), 100.0)))
    assert rows["greedy return, interquartile mean"] == "100.00"
    assert not any(name.startswith(("solved", "diverged")) for name in rows)
    assert not any("return" in name for name in dict(summary_rows(result)))


def test_importing_the_reports_imports_no_plotting():
    script = "import sys, jaxrl.run_report, jaxrl; print(*{n.split('.')[0] for n in sys.modules})"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"matplotlib", "pandas", "tensorflow", "pyarrow", "tensorboardX"} & set(output.split())
