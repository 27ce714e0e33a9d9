"""`jaxrl sweep` and its relations: what they print, what they leave, and how they say no."""

import re

import pytest

import jaxrl
from jaxrl.agents import ALGORITHMS
from jaxrl.cli import main
from jaxrl.cli.sweep import SweepOptions, parse_space
from jaxrl.cli.sweep_file import SweepFile, read_sweep_file

TINY = ["--hidden", "8", "--batch-size", "4", "--buffer-size", "64", "--learning-starts", "8", "--log-points", "6"]
SWEEP = [
    "sweep",
    "dqn",
    "--env",
    "CartPole-v1",
    "--env-parameter",
    "max_steps=20",
    "--steps",
    "120",
    "--seeds",
    "2",
    *TINY,
]
SPACE = ["--space", "learning_rate=log:1e-3:1e-2", "--space", "double=true,false", "--trials", "4"]
pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "s"
    assert main([*SWEEP, *SPACE, "--out", str(out), "--keep", "best:2", "--episodes", "2", "--no-progress"]) == 0
    return out


def plain(text):
    return " ".join(re.sub("[╭╮╰╯│─┬┴├┤┼•]", " ", text).split())


def test_it_prints_the_best_trials_and_leaves_tables(swept, capsys):
    found = jaxrl.load(swept)
    assert found.complete
    assert len(found.table()) == 8
    # The same command again finds everything done.
    assert main([*SWEEP, *SPACE, "--out", str(swept), "--keep", "best:2", "--episodes", "2"]) == 0
    said = plain(capsys.readouterr().out)
    assert "complete already" in said
    assert "4 of 4, 2 seeds each" in said
    assert f"{found.best().score:.2f} ({found.best().low:.2f} to {found.best().high:.2f})" in said


def test_the_plan_alone_trains_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("jaxrl.loop.run", lambda *_, **__: pytest.fail("this must not train"))
    assert main([*SWEEP, *SPACE, "--space", "target_period=1,2", "--dry-run", "--out", str(tmp_path / "s")]) == 0
    said = plain(capsys.readouterr().out)
    assert "4 trials x 2 seeds = 8" in said
    assert "4 (by double, target_period)" in said
    assert not (tmp_path / "s").exists()


def test_the_report_and_members_of_a_sweep(swept, tmp_path, capsys):
    assert main(["sweep-report", str(swept)]) == 0
    assert "DQN on CartPole" in (swept / "report.html").read_text()
    assert main(["sweep-report", str(swept), str(tmp_path / "page.html")]) == 0
    assert main(["render", str(swept), str(tmp_path / "best.gif")]) == 0
    best = jaxrl.load(swept).member()
    assert f"trial {best.index} (seed {best.seed})" in capsys.readouterr().out
    assert main(["render", str(swept), str(tmp_path / "other.gif"), "--member", f"{best.index}:1"]) == 0


def test_a_file_says_the_same_as_the_options(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(
        'agent = "dqn"\nenv = "CartPole-v1"\ntrials = 4\nseeds = [3, 5]\nhidden = [8, 8]\ndouble = false\n'
        '[environment]\nlength = 0.7\n[space]\nlearning_rate = "log:1e-3:1e-2"\nbatch_size = [4, 8]\n'
        'hidden = [[8], [4, 4]]\n"env.length" = [0.5, 1.0]\nenv.gravity = [9.8]\n'
    )
    assert read_sweep_file(str(file), SweepOptions) == SweepFile(
        "dqn",
        options={"env": "CartPole-v1", "trials": 4, "seeds": (3, 5)},
        fields={"hidden": (8, 8), "double": False},
        environment={"length": 0.7},
        space={
            "learning_rate": "log:1e-3:1e-2",
            "batch_size": [4, 8],
            "hidden": [[8], [4, 4]],
            "env.length": [0.5, 1.0],
            "env.gravity": [9.8],
        },
    )


def test_values_of_a_file_s_space():
    agent = jaxrl.DQN(jaxrl.make("CartPole-v1"))
    space = {"learning_rate": "log:1e-4:1e-2", "hidden": [[8], [4, 4]], "batch_size": "4,8", "schedule": ["linear"]}
    assert parse_space(agent, ["discount=0.9"], space | {"discount": [0.5], "tau": 0.1, "double": [True]}) == {
        "learning_rate": jaxrl.log_uniform(1e-4, 1e-2),
        "hidden": [(8,), (4, 4)],
        "batch_size": [4, 8],
        "schedule": ["linear"],
        "tau": [0.1],
        "double": [True],
        "discount": [0.9],
    }


def test_words_of_a_space():
    agent = jaxrl.DQN(jaxrl.make("CartPole-v1"))
    space = parse_space(
        agent,
        [
            "learning-rate=log:1e-4:1e-2",
            "discount=uniform:0.9:0.99",
            "batch_size=int:4:8",
            "hidden=64-64,128",
            "double=true,False",
            "max_grad_norm=none,1",
            "schedule=choice:linear,none",
            "env.length=0.5",
        ],
    )
    assert space == {
        "learning_rate": jaxrl.log_uniform(1e-4, 1e-2),
        "discount": jaxrl.uniform(0.9, 0.99),
        "batch_size": jaxrl.integers(4, 8),
        "hidden": [(64, 64), (128,)],
        "double": [True, False],
        "max_grad_norm": [None, 1],
        "schedule": jaxrl.choice(["linear", "none"]),
        "env.length": [0.5],
    }


def test_tuples_may_be_written_as_in_python():
    agent = jaxrl.DQN(jaxrl.make("CartPole-v1"))
    assert parse_space(agent, ["hidden=(8,8),(4,)"]) == {"hidden": [(8, 8), (4,)]}


def test_the_command_line_counts_more_than_the_file(tmp_path, capsys):
    file = tmp_path / "sweep.toml"
    file.write_text(
        'agent = "dqn"\nenv = "CartPole-v1"\nsteps = 2000\nseeds = 2\ndry_run = true\nyes = false\n'
        "[space]\ndiscount = [0.5, 0.6, 0.7]\nbatch_size = [4, 8]\n"
    )
    assert main(["sweep", str(file), "--space", "discount=0.9", "--seeds", "3"]) == 0
    printed = plain(capsys.readouterr().out)
    assert "DQN on CartPole-v1: the plan" in printed
    assert "2 trials x 3 seeds = 6" in printed


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([*SWEEP], "space is empty"),
        ([*SWEEP, "--space", "learning_rat=1e-3"], "learning_rate"),
        ([*SWEEP, "--space", "discount"], "FIELD=VALUES"),
        ([*SWEEP, "--space", "discount=log:0.1"], "LOW:HIGH"),
        ([*SWEEP, "--space", "discount=0.5", "--space", "discount=0.6"], "given twice"),
        ([*SWEEP, "--space", "discount=uniform:0.5:0.6"], "trials says how many"),
        ([*SWEEP, "--space", "discount=0.5", "--sampler", "best"], "must be one of sobol, random"),
        ([*SWEEP, "--space", f"target_period={','.join(map(str, range(1, 35)))}"], "--yes"),
        ([*SWEEP, "--space", "discount=0.5", "--dry-run", "--sampler", "sobl"], "must be one of sobol, random"),
        ([*SWEEP, "--space", "discount=0.5", "--dry-run", "--keep", "bst"], "must be 'none', 'all', or 'best:N'"),
        (["sweep", "missing.toml"], "can't be read"),
        (["sweep-report", "nowhere"], "holds no sweep"),
    ],
)
def test_bad_words_get_one_line(words, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("agent = 3", f"must be one of {', '.join(ALGORITHMS)}"),
        ("agent =", "is no TOML"),
        ('agent = "dqn"\nspace = 3', "must be a table"),
        ('agent = "dqn"\n[other]\na = 1', r"\[other\] is no table"),
        (
            'agent = "dqn"\nlearning_rat = 1',
            "learning_rat is no option of a sweep of dqn .did you mean",
        ),
    ],
)
def test_bad_files(content, complaint, tmp_path):
    (tmp_path / "x.toml").write_text(content)
    with pytest.raises(ValueError, match=complaint):
        read_sweep_file(str(tmp_path / "x.toml"), SweepOptions)


def test_a_sweep_is_no_run(swept, capsys):
    assert main(["evaluate", str(swept)]) == 2
    assert "is a sweep" in capsys.readouterr().err
    assert main(["render", str(swept), "x.gif", "--member", "first"]) == 2
    assert "TRIAL:SEED" in capsys.readouterr().err
