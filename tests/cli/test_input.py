"""Wild words on the command line: one line that names the option, its value and the remedy, and exit code 2."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import jaxrl
from jaxrl.cli import main

pytestmark = pytest.mark.usefixtures("fast_compilation")
DIGITS = "9" * 5000
TINY = ["--steps", "120", "--log-points", "8", "--hidden", "8", "--batch-size", "4", "--buffer-size", "64"]
TRAIN = ["train", "dqn", "--env", "CartPole-v1", "--preset", "none", "--no-progress", *TINY, "--learning-starts", "8"]
SWEEP = ["sweep", "dqn", "--env", "CartPole-v1", "--no-progress", *TINY, "--learning-starts", "8", "--seeds", "2"]
SPACE = ["--space", "discount=uniform:0.9:1", "--trials", "4"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main([*TRAIN, "--out", str(out)]) == 0
    return out


@pytest.fixture(autouse=True)
def _somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def complaint(words, capsys) -> str:
    capsys.readouterr()
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch("jaxrl: error: [^\n]+\n", printed.err), printed.err
    assert len(printed.err) < 600
    return printed.err


COUNTS = (
    "steps",
    "iterations",
    "seeds",
    "log-points",
    "evaluate-every",
    "evaluation-episodes",
    "block-size",
    "devices",
)
FIELDS = ("batch-size", "hidden")


@pytest.mark.parametrize("word", [DIGITS, "-" + DIGITS[:19]], ids=["digits", "negative"])
@pytest.mark.parametrize("option", [*COUNTS, *FIELDS])
def test_numbers_beyond_64_bits(option, word, capsys, never_compiled):
    output = complaint([*TRAIN, f"--{option}", word], capsys)
    assert f"--{option} '{word[:20]}"[:25] in output
    assert "must fit 64 bits: give at most 9223372036854775807" in output


@pytest.mark.parametrize("word", ["2.5", "1e5", "", "٣", "1_"])
@pytest.mark.parametrize("option", ["steps", "batch-size"])
def test_what_is_no_whole_number(option, word, capsys, never_compiled):
    assert f"--{option} '{word}' must be a whole number" in complaint([*TRAIN, f"--{option}", word], capsys)


def test_one_of_several_numbers_is_named(capsys, never_compiled):
    assert "--seeds '5.5' must be a whole number" in complaint([*TRAIN, "--seeds", "3", "5.5", "7"], capsys)
    assert "--hidden '8.5' must be a whole number" in complaint([*TRAIN, "--hidden=8.5"], capsys)


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["--learning-rate", "fast"], "--learning-rate 'fast' must be a number"),
        (["--learning-rate", DIGITS], "DQN.learning_rate = inf must be > 0 and finite"),
        (["--learning-rate", "1e39"], "DQN.learning_rate = 1e+39 must be finite, as a float32 too"),
        (["--max-grad-norm", "wide"], "--max-grad-norm 'wide' must be a number, or none"),
        (["--checkpoint-seconds", "inf"], "checkpoint_seconds = inf must be a finite number"),
        (["--batch-size", "10000000000"], "DQN.batch_size = 10000000000 must be at most 2,147,483,647"),
        (["--env-parameter", "length=nan"], "CartPole.length = nan must be > 0"),
        (["--env-parameter", "length=1e400"], "CartPole.length = inf must be > 0 and finite"),
        (["--env-parameter", "length=none"], "CartPole.length = None must be one number"),
        (["--env-parameter", "length=long"], "CartPole.length = 'long' must be a number"),
        (["--env-parameter", "max_steps=2.5"], "CartPole.max_steps = 2.5 must be a whole number"),
        (["--env-parameter", f"max_steps={DIGITS}"], "must be a whole number"),
        (["--out", ""], "--out '' must name a file or a folder"),
        (["--out", "a" * 300], "must be shorter: a name has at most 255 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wild_words_of_train(words, output, capsys, never_compiled):
    assert output in complaint([*TRAIN, *words], capsys)


@pytest.mark.parametrize(
    "words",
    [
        *([f"--{name}", str(2**63)] for name in ("trials", "seeds", "sample-seed", "rungs", "eta", "episodes")),
        ["--trials", "2.5"],
    ],
    ids=str,
)
def test_wild_numbers_of_sweep(words, capsys, never_compiled):
    assert f"{words[0]} '{words[1]}' must" in complaint([*SWEEP, *SPACE, *words], capsys)


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["--trials", "1000000000000"], "trials = 1000000000000 are more than a sweep can have"),
        (["--rungs", "1000"], "rungs = 1000 must be at most 32"),
        (["--keep", "best:100"], "keep = 'best:100' is more than the 4 trials of the sweep"),
        (["--eta", "1"], "eta = 1 must be at least 2"),
        (["--threshold", "inf"], "threshold = inf must be a finite number"),
        (["--discount", "0.98"], "discount is both fixed and in the space"),
        (["--discount=0.98"], "discount is both fixed and in the space"),
        (["--space", "env.length=0.5,0.6", "--env-parameter", "length=0.7"], "env.length is both fixed and in"),
        (["--space", "env.length=0.5,0.6", "--env_parameter", "length=0.7"], "env.length is both fixed and in"),
        (["--space", "double=true,false", "--no-double"], "double is both fixed and in"),
        (["--space", "learning_rate=none"], "learning_rate must be float"),
        (["--space", f"tau={DIGITS}"], "tau = "),
        (["--space", "target_period=int:1:1000000000000"], "must be at most 2,147,483,647"),
        (["--space", "tau=log:1e-4:1e309"], "both ends must be finite numbers"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_wild_words_of_sweep(words, output, capsys, never_compiled):
    assert output in complaint([*SWEEP, *SPACE, *words], capsys)


TOML = """
agent = "dqn"
env = "CartPole-v1"
steps = 120
learning_starts = 8
seeds = 2
{}
[space]
discount = [0.9, 0.99]
"""


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("out = 3", "out = 3 must be text, in quotes"),
        ("out = true", "out = True must be text, in quotes"),
        ('keep = ["all"]', "keep = ['all'] must be text"),
        ("discount = 0.98", "discount is both fixed and in the space"),
        ("log_points = 1979-05-27", "log_points = datetime.date(1979, 5, 27) must be a whole number"),
        ("hidden = [[8]]", "DQN.hidden = ((8,),) must be a tuple of whole numbers"),
        ("log_points = 2.5", "log_points = 2.5 must be a whole number"),
        (f"log_points = {2**63 - 1}0", f"must be at most {2**63 - 1}"),
        ("progress = 1", "progress = 1 must be True or False"),
        ("batch_size = 'many'", "DQN.batch_size = 'many' must be a whole number"),
        ("batchsize = 3", "batchsize is no option of a sweep of dqn"),
    ],
)
def test_wild_values_in_a_file(line, output, capsys, never_compiled):
    Path("sweep.toml").write_text(TOML.format(line))
    assert output in complaint(["sweep", "sweep.toml"], capsys)


def test_an_agent_in_a_file_that_is_a_list(capsys):
    Path("sweep.toml").write_text('agent = ["dqn"]')
    assert "agent = ['dqn'] must be one of" in complaint(["sweep", "sweep.toml"], capsys)


def test_a_dry_run_sees_what_the_folder_holds(run, capsys):
    Path("foreign").mkdir()
    Path("foreign/file").write_text("here")
    dry = [*SWEEP, *SPACE, "--dry-run", "--out"]
    assert "foreign holds other files" in complaint([*dry, "foreign"], capsys)
    assert "foreign/file is a file" in complaint([*dry, "foreign/file"], capsys)
    assert "is not of a sweep that this jaxrl knows" in complaint([*dry, str(run)], capsys)
    assert "more than the 4 trials" in complaint([*dry, "new", "--keep", "best:5"], capsys)
    assert main([*dry, "new"]) == 0
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["evaluate", "{run}", "--episodes", "1" + "0" * 30], "--episodes '1000"),
        (["evaluate", "{run}", "--seed", "-1"], "seed = -1 must be at least 0"),
        (["evaluate", "{run}", "--seed", str(2**32)], "seed = 4294967296 must be at most 4294967295"),
        (["evaluate", ""], "'' must name a file or a folder"),
        (["render", "{run}", "x.gif", "--seed", "-1"], "--seed = -1 must be at least 0"),
        (["render", "{run}", "x.gif", "--member", "9" * 30], "must be best, or a number from 0 to 0"),
        (["render", "{run}", ""], "'' must name a file or a folder"),
        (["check", "json:loads"], "'json:loads' can't be made by <function loads"),
        (["check", "json:JSONDecoder"], "must be a subclass of jaxrl.Environment"),
        (["check", "CartPole-v1", "--steps", "1000000000000"], "steps = 1000000000000 must be at most"),
        (["check", "CartPole-v1", "--seed", "-1"], "seed = -1 must be at least 0"),
        (["sweep-report", ""], "'' must name a file or a folder"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_wild_words_of_the_other_commands(words, output, run, capsys):
    assert output in complaint([word.replace("{run}", str(run)) for word in words], capsys)
    assert not Path("x.gif").exists()


@pytest.mark.parametrize("rate", ["nan", "0", "-1", "inf", "100", "1e-300"])
def test_rates_are_checked_before_the_episode_is_played(rate, run, capsys, monkeypatch):
    monkeypatch.setattr("jaxrl.rendering.episode_frames", lambda *_: pytest.fail("the episode was played"))
    monkeypatch.setattr("jaxrl.result.Result.returns", property(lambda _: pytest.fail("episodes were played")))
    output = complaint(["render", str(run), "x.gif", "--frames-per-second", rate], capsys)
    assert "frames_per_second = " in output
    assert "must be > 0 and <= 50" in output


@pytest.mark.parametrize("page", ["nowhere/x.html", ".", "a" * 300])
def test_a_report_that_can_t_be_written(page, tmp_path, capsys):
    out = tmp_path / "sweep"
    assert main([*SWEEP, "--space", "discount=0.9,0.99", "--episodes", "2", "--out", str(out)]) == 0
    output = complaint(["sweep-report", str(out), page], capsys)
    assert page[:40] in output
    assert ".partial" not in output


def test_an_error_that_nobody_foresaw_is_one_line_too(monkeypatch, capsys, run):
    def fail(self, state):
        raise KeyError("colour")

    monkeypatch.setattr(type(jaxrl.make("CartPole-v1")), "render", fail)
    output = complaint(["render", str(run), "x.gif"], capsys)
    assert output == "jaxrl: error: KeyError: 'colour' (JAXRL_TRACEBACK=1 in the environment shows where)\n"


def test_an_interruption_without_words_is_named(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxrl.cli.train.train", interrupt)
    assert main(TRAIN) == 130
    assert capsys.readouterr().err == "jaxrl: interrupted\n"


FOUND = {**os.environ, "PYTHONPATH": str(Path(jaxrl.__file__).parent.parent)}
"""The environment of processes, from whatever folder, that import this jaxrl."""
COMMAND = ["-c", "import sys; from jaxrl_command import main; sys.exit(main())"]


@pytest.mark.parametrize("seconds", [0.0, 0.4, 0.9])
@pytest.mark.parametrize(
    ("program", "begun"),
    [(COMMAND, "jaxrl_command"), (["-m", "jaxrl"], "_module_command"), (["-m", "jaxrl.cli"], "_module_command")],
)
def test_an_interruption_during_the_imports_is_one_line(program, begun, seconds):
    command = [sys.executable, "-X", "importtime", *program, *TRAIN]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=FOUND)
    assert process.stderr is not None
    while begun not in process.stderr.readline():
        assert process.poll() is None
    assert process.stderr.readline()  # The next import is over: the command runs, and no longer just begins to.
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    output = [line for line in process.communicate(timeout=60)[1].splitlines() if not line.startswith("import time:")]
    assert (process.returncode, output) == (130, ["jaxrl: interrupted"])


@pytest.mark.parametrize("module", ["jaxrl", "jaxrl.cli"])
def test_the_command_as_a_module(module):
    command = [sys.executable, "-m", module, "envs", "CartPole-v9"]
    process = subprocess.run(command, capture_output=True, text=True, env=FOUND)
    assert process.returncode == 2
    assert process.stderr.startswith("jaxrl: error: unknown environment 'CartPole-v9'")
    assert process.stderr.count("\n") == 1
