"""The command line: what it prints, what it leaves on disk, and how it says no."""

import contextlib
import dataclasses
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest
from command_line import plain
from PIL import Image

from jaxrl import registry, trainer
from jaxrl.agents import ALGORITHMS
from jaxrl.cli import fields, main
from jaxrl.cli.sweep import SweepCommand, describe_sweep
from jaxrl.presets import Preset

TINY = ["--hidden", "8", "--batch-size", "4", "--buffer-size", "64", "--learning-starts", "16", "--no-progress"]
TRAIN = ["train", "dqn", "--env", "CartPole-v1", "--seeds", "2", "--steps", "200", *TINY]


@pytest.fixture(autouse=True)
def _shell(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("JAXRL_TRACEBACK", raising=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run: its folder, and what training it printed."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main([*TRAIN, "--out", str(folder)]) == 0
    return folder, printed.getvalue()


# Help.


def test_the_overview_names_every_command_and_gives_examples(capsys):
    assert main(["--help"]) == 0
    text = plain(capsys.readouterr().out)
    for word in ("train", "evaluate", "render", "envs", "check", "Examples:", "--version", "Exit codes"):
        assert word in text
    assert main(["train", "--help"]) == 0
    text = plain(capsys.readouterr().out)
    assert all(algorithm in text for algorithm in ALGORITHMS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_help_has_every_field_of_the_agent_with_its_docstring_and_default(algorithm, capsys):
    assert main(["train", algorithm, "--help"]) == 0
    text = plain(capsys.readouterr().out)
    docs = fields.field_docs(ALGORITHMS[algorithm])
    for field in dataclasses.fields(ALGORITHMS[algorithm]):
        assert len(docs[field.name]) > 10
        option = f"--{field.name.replace('_', '-')}"
        assert option in text
        help_text = text[re.search(rf"(?<!no){option}[ ,]", text).end() :]
        assert docs[field.name].rstrip(".") in help_text.replace("; or module", ": or module")
        if field.name != "env":
            default = field.default
            words = (
                "none" if default is None else " ".join(map(str, default)) if isinstance(default, tuple) else default
            )
            assert re.search(rf"\(default: {words}[),]", help_text[help_text.index(docs[field.name]) :][:300])


@pytest.mark.parametrize("command", ["evaluate", "render", "envs", "check"])
def test_other_commands_have_examples(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"Examples: jaxrl {command} " in plain(capsys.readouterr().out)


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"jaxrl \d+\.\d+.*\n", capsys.readouterr().out)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_examples_of_the_help_are_commands_that_work(algorithm):
    lines = describe_sweep(algorithm, SweepCommand, []).splitlines()
    (example,) = (line for line in lines if line.endswith("--dry-run"))
    command = shlex.split(example)
    assert command[0] == "jaxrl"
    assert main([*command[1:], "--seeds", "2", "--steps", "100000"]) == 0


def test_help_is_quick_to_import():
    heavy = ["matplotlib", "pandas", "tensorflow", "pyarrow", "rlax", "PIL"]
    program = (
        f"import sys; from jaxrl.cli import main; main(['--help']); print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# What the commands do.


def test_training_prints_the_table_and_keeps_the_run(trained):
    folder, printed = trained
    text = plain(printed)
    for words in ("members 2", "400 (200 a member)", "steps per second", "compile seconds", "greedy return, median"):
        assert words in text
    assert "greedy return, interquartile mean" in text
    assert f"tensorboard --logdir {folder}" in printed
    for name in ("config.json", "metrics.parquet", "curves.png", "tensorboard"):
        assert (folder / name).exists()
    fields = json.loads((folder / "config.json").read_text())["agent"]["fields"]
    assert fields["batch_size"] == 4
    assert fields["hidden"] == [8]


def test_evaluating_a_run(trained, capsys):
    assert main(["evaluate", str(trained[0]), "--episodes", "3"]) == 0
    first = plain(capsys.readouterr().out)
    for words in ("members 2", "episodes a member 3", "greedy return, median", "interval", "best member by return"):
        assert words in first
    assert main(["evaluate", str(trained[0]), "--episodes", "3"]) == 0
    assert plain(capsys.readouterr().out) == first


@pytest.mark.parametrize(("member", "output"), [("best", "member "), ("1", "member 1 (seed 1), ")])
def test_rendering_an_episode(trained, tmp_path, capsys, member, output):
    file = tmp_path / "episode.gif"
    assert main(["render", str(trained[0]), str(file), "--member", member]) == 0
    printed = capsys.readouterr().out
    assert output in printed
    steps = int(re.search(r"(\d+) steps", printed)[1])
    with Image.open(file) as picture:
        assert picture.size == (600, 300)
        assert 2 <= picture.n_frames <= steps + 1


def test_plane_strike_has_an_exact_score(capsys):
    options = ["--hidden", "8", "--num-envs", "2", "--episodes-per-update", "2", "--no-progress"]
    options += ["--env-parameter", "size=5", "--env-parameter", "placement=published"]
    words = ["train", "reinforce", "--env", "PlaneStrike-v0", "--seeds", "4", "9", "--iterations", "2", *options]
    assert main(words) == 0
    text = plain(capsys.readouterr().out)
    places = len(registry.make("PlaneStrike-v0", size=5, placement="published").placements)
    assert f"mean strikes over all {places} placements, fewer is better" in text
    score = float(re.search(r"exact score, median ([\d.]+)", text)[1])
    assert 8 <= score <= 25
    assert re.search(r"exact score, best member (0 \(seed 4\)|1 \(seed 9\))", text)
    assert "Nothing was kept: --out FOLDER keeps the run." in text


def test_ctrl_c_prints_what_is_done_and_how_to_go_on(tmp_path, capsys, monkeypatch):
    words = [*TRAIN, "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_show", lambda *_: signal.raise_signal(signal.SIGINT))
        assert main(words) == 130
    printed = capsys.readouterr()
    assert "interrupted" in printed.err
    assert "greedy return, median" in printed.out
    assert f"To go on: jaxrl {' '.join(words)} --resume" in printed.out
    assert main([*words, "--resume"]) == 0
    assert "400 (200 a member)" in plain(capsys.readouterr().out)


def test_the_process_has_every_core_as_a_device_and_the_exit_code():
    program = (
        "import sys, jax; from jaxrl.cli import main; code = main(['evaluate', 'nowhere']); "
        "print(len(jax.devices('cpu'))); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == f"{len(os.sched_getaffinity(0))}\n"
    assert done.stderr == "jaxrl: error: nowhere holds no run: it has no config.json\n"


def test_the_environments_are_listed_with_their_parameters(capsys):
    assert main(["envs"]) == 0
    text = plain(capsys.readouterr().out)
    for name in registry.names():
        assert name in text
    for words in ("float32[4]", "length 0.5 > 0 Half the pole's length, m.", "whole numbers 0 to 63", "'published'"):
        assert words in text
    assert main(["envs", "CartPole-v0"]) == 0
    text = plain(capsys.readouterr().out)
    assert "max_steps 200" in text
    assert "PlaneStrike" not in text


MODULE = """
import jax, jax.numpy as jnp, jaxrl

@jaxrl.pytree
class Coin(jaxrl.Environment):
    bias: float = jaxrl.leaf(0.5, minimum=0, maximum=1)
    wide: bool = jaxrl.static(False)
    max_steps: int = jaxrl.static(3, minimum=1)

    @property
    def observation_space(self):
        return jaxrl.Box(0.0, 1.0, (2,) if self.wide else (1,))

    @property
    def action_space(self):
        return jaxrl.Discrete(2)

    def reset(self, key):
        coin = (jax.random.uniform(key, (1,)) < self.bias).astype(jnp.float32)
        return coin, coin

    def step(self, state, action, key):
        coin = self.reset(key)[0]
        reward = (state[0] == action).astype(jnp.float32)
        return coin, jaxrl.TimeStep(coin, reward, jnp.zeros((), bool), jnp.zeros((), bool))
"""


def test_checking_an_environment_of_ones_own(tmp_path, monkeypatch, capsys):
    (tmp_path / "coin_of_ones_own.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "coin_of_ones_own:Coin", "--steps", "100"]) == 0
    assert capsys.readouterr().out == "Coin: nothing found\n"
    assert main(["check", "coin_of_ones_own:Coin", "--steps", "100", "--env-parameter", "wide=true"]) == 1
    assert "error [obs-shape]" in capsys.readouterr().out


# Presets.


MINE = Preset("dqn", "CartPole-v0", {"learning_rate": 0.125, "hidden": (7,)}, 123, "For the test.", default=True)
OTHER = Preset("reinforce", "PlaneStrike-v0", {}, 5, "Another.")


@pytest.fixture
def presets(monkeypatch):
    monkeypatch.setattr("jaxrl.presets.PRESETS", {"mine": MINE, "other": OTHER})


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        (["--preset", "mine"], "0.125"),
        (["--env", "CartPole-v0"], "0.125"),
        (["--env=CartPole-v0"], "0.125"),
        (["--env", "CartPole-v0", "--preset", "none"], "0.003"),
        (["--env", "CartPole-v1"], "0.003"),
    ],
)
def test_the_preset_of_the_environment_sets_the_defaults(presets, capsys, words, rate):
    assert main(["train", "dqn", *words, "--help"]) == 0
    assert f"start of the run. (default: {rate}, must be > 0)" in plain(capsys.readouterr().out)


def test_options_override_the_preset(presets, monkeypatch, capsys):
    asked = {}

    def train(agent, steps, **more):
        asked.update(more, agent=agent, steps=steps)
        raise ValueError("enough")

    monkeypatch.setattr("jaxrl.cli.train.train", train)
    assert main(["train", "dqn", "--preset", "mine", "--hidden", "9"]) == 2
    assert (asked["agent"].hidden, asked["agent"].learning_rate) == ((9,), 0.125)
    assert (asked["steps"], asked["iterations"], asked["agent"].env.max_steps) == (None, 123, 200)
    assert main(["train", "dqn", "--preset", "mine", "--steps", "50", "--env", "CartPole-v1"]) == 2
    assert (asked["steps"], asked["iterations"], asked["agent"].env.max_steps) == (50, None, 500)
    assert main(["train", "dqn", "--env", "CartPole-v1"]) == 2
    assert (asked["steps"], asked["iterations"]) == (None, 50_000)
    capsys.readouterr()
    assert main(["train", "dqn", "--preset", "mina"]) == 2
    assert capsys.readouterr().err == "jaxrl: error: unknown preset 'mina' (did you mean 'mine'?); known: mine, other\n"
    assert main(["train", "dqn", "--preset", "other"]) == 2
    assert "preset 'other' is for reinforce, not for dqn: give reinforce" in capsys.readouterr().err


# Bad input.

DQN = ["train", "dqn", "--env", "CartPole-v1", "--preset", "none"]


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["train", "dqn", "--env", "CartPol-v1"], "did you mean 'CartPole-v1'?"),
        (["train", "dqn", "--env", "no_module:Here"], "can't be imported"),
        ([*DQN, "--steps", "-5"], "steps = -5 must be at least 1"),
        ([*DQN, "--steps", "0"], "steps = 0 must be at least 1"),
        ([*DQN, "--steps", "5", "--iterations", "5"], "either steps"),
        (["train", "reinforce", "--env", "CartPole-v1", "--steps", "9"], "steps = 9 is less than one iteration"),
        ([*DQN, "--seeds", "0"], "seeds = 0 must be at least 1"),
        ([*DQN, "--seeds", "4", "4"], "seeds repeat [4]"),
        ([*DQN, "--devices", "1000"], "devices = 1000 must be between 1 and"),
        ([*DQN, "--seeds", "10000000"], "would fit"),
        ([*DQN, "--learning-rate", "-1"], "DQN.learning_rate = -1.0 must be > 0"),
        ([*DQN, "--learning-rate", "nan"], "DQN.learning_rate = nan must be > 0"),
        ([*DQN, "--hidden", "0"], "DQN.hidden = (0,) must be >= 1"),
        ([*DQN, "--resume"], "resume=True (--resume) needs out"),
        ([*DQN, "--out", "{file}/run"], "can't be written"),
        ([*DQN, "--out", "{file}"], "is a file"),
        ([*DQN, "--out", "{full}"], "holds other files"),
        (["train", "dqn", "--preset", "nothing-like-it"], "unknown preset 'nothing-like-it'"),
        ([*DQN, "--env-parameter", "lenght=1"], "did you mean 'length'?"),
        ([*DQN, "--env-parameter", "length"], "must be of the form NAME=VALUE"),
        ([*DQN, "--env-parameter", "length=-1"], "CartPole.length = -1 must be > 0"),
        ([*DQN, "--env-parameter", "length=1", "--env-parameter", "length=2"], "given twice"),
        (["evaluate", "{full}/nowhere"], "holds no run"),
        (["evaluate", "{full}"], "holds no run"),
        (["evaluate", "{run}", "--episodes", "0"], "episodes = 0 must be at least 1"),
        (["render", "{full}", "{full}/out.gif"], "holds no run"),
        (["render", "{run}", "{full}/out.png"], "must end in .gif"),
        (["render", "{run}", "{full}/nowhere/out.gif"], "the folder does not exist"),
        (["render", "{run}", "{full}/out.gif", "--member", "2"], "must be best, or a number from 0 to 1"),
        (["envs", "CartPole"], "unknown environment 'CartPole'"),
        (["check", "NoSuch"], "unknown environment 'NoSuch'"),
    ],
)
def test_bad_input_gets_one_line(words, output, trained, tmp_path, capsys):
    (tmp_path / "file").write_text("here")
    places = {"{file}": tmp_path / "file", "{full}": tmp_path, "{run}": trained[0]}
    for name, path in places.items():
        words = [word.replace(name, str(path)) for word in words]
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch("jaxrl: error: [^\n]+\n", printed.err)
    assert output in printed.err


def test_another_run_in_the_folder_is_left_alone(trained, capsys):
    assert main([*TRAIN, "--steps", "300", "--out", str(trained[0]), "--resume"]) == 2
    assert "holds another run, and is left alone: iterations: 200 there, 300 here" in capsys.readouterr().err


def test_a_module_that_fails_is_no_traceback_unless_asked_for(tmp_path, monkeypatch, capsys):
    (tmp_path / "module_that_fails.py").write_text("raise RuntimeError('two\\nlines')")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "module_that_fails:Env"]) == 2
    output = "jaxrl: error: environment 'module_that_fails:Env' can't be built: RuntimeError: two lines\n"
    assert capsys.readouterr().err == output
    monkeypatch.setenv("JAXRL_TRACEBACK", "1")
    with pytest.raises(ValueError, match="can't be built"):
        main(["check", "module_that_fails:Env"])


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ([*DQN, "--learning-rat", "1"], "--learning-rate"),
        ([*DQN, "--steps", "many"], "--steps"),
        ([*DQN, "--huber-delta", "wide"], "'wide' must be a number, or none"),
        (["train", "reinforce", "--env", "CartPole-v1", "--baseline", "mean"], "'time'"),
        (["train", "dqn"], "--env"),
        (["train", "sarsa"], ", ".join(sorted(ALGORITHMS))),
        (["trian"], "train, sweep, evaluate"),
        ([], "train, sweep, evaluate"),
    ],
)
def test_words_that_can_not_be_parsed_get_a_hint(words, output, capsys):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert output in plain(printed.err)
    assert printed.err.startswith("jaxrl: error: ")
    assert printed.err.count("\n") == 1
