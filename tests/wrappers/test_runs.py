"""Runs with wrapped environments: kept, copied, loaded under the rules of trust, gone on with, and from a shell."""

import json
import re
import shutil
import sys
import textwrap

import jax.numpy as jnp
import pytest
from small_runs import cart_pole, dqn, train

import jaxrl
from jaxrl.cli import main
from jaxrl.cli.options import parse_wrap
from jaxrl.cli.sweep import SweepOptions, refuse_fixed
from jaxrl.config import from_config, named_modules, to_config
from jaxrl.sweeps import SpaceError
from jaxrl.trust import Trust
from jaxrl.wrappers import PotentialShaping, TransformReward

pytestmark = pytest.mark.usefixtures("fast_compilation")

MODULE = """
    import pathlib
    pathlib.Path({marker!r}).touch()
    import jax.numpy as jnp
    import jaxrl
    from jaxrl.wrappers import ObservationWrapper

    def upright(env, state):
        return -jnp.abs(state.theta) / env.theta_limit

    @jaxrl.pytree
    class Negated(ObservationWrapper):
        def observe(self, obs):
            return -obs
"""
SMALL = ["--hidden", "8", "--batch-size", "4", "--buffer-size", "64", "--learning-starts", "8", "--log-points", "6"]
WRAPS = ["--wrap", "PotentialShaping:potential=mine:upright", "--wrap", "FrameStack:k=2", "--wrap", "mine:Negated"]
TRAIN = ["train", "dqn", "--env", "CartPole-v1", "--env-parameter", "max_steps=20", "--steps", "60", *SMALL, *WRAPS]


def forget(name):
    for known in set(sys.modules):
        if known.partition(".")[0] == name:
            del sys.modules[known]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with a module that tells when it runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    (tmp_path / "mine.py").write_text(textwrap.dedent(MODULE.format(marker=str(tmp_path / "ran"))))
    yield tmp_path
    forget("mine")


def test_a_run_of_the_command_line_is_loaded_elsewhere_with_trust_alone(place, capsys):
    assert main([*TRAIN, "--out", "run", "--no-progress"]) == 0
    assert "DQN on CartPole-v1, PotentialShaping" in " ".join(capsys.readouterr().out.split())
    fields = json.loads((place / "run" / "config.json").read_text())["agent"]["fields"]
    assert fields["env"]["class"] == "mine.Negated"
    shaping = fields["env"]["fields"]["env"]["fields"]["env"]["fields"]
    assert shaping["potential"] == {"function": "mine:upright"}
    assert shaping["discount"] == fields["discount"]
    shutil.move("run", "elsewhere")
    forget("mine")
    (place / "ran").unlink()
    for command in (["evaluate", "elsewhere"], ["export", "elsewhere", "a.tflite"]):
        assert main(command) == 2
        assert "If you trust it, add trust=['mine'] (--trust mine)" in capsys.readouterr().err
    assert not (place / "ran").exists()
    assert main(["evaluate", "elsewhere", "--trust", "mine"]) == 0
    assert (place / "ran").exists()
    result = jaxrl.load("elsewhere", trust=["mine"])
    assert result.agent.env.unwrapped == jaxrl.make("CartPole-v1", max_steps=20)
    # To go on is the same command again.
    assert main([*TRAIN, "--out", "elsewhere", "--resume", "--no-progress"]) == 0
    assert main([*TRAIN[:-2], "--out", "elsewhere", "--resume", "--no-progress"]) == 2
    assert "agent.env.class" in (output := capsys.readouterr().err) or "agent.env:" in output


def test_functions_are_not_taken_from_modules_that_are_merely_imported(place, monkeypatch):
    """Every process has imported modules with functions that nobody wants to be called for a stranger."""
    monkeypatch.syspath_prepend(place)
    import mine

    stored = to_config(TransformReward(jaxrl.make("CartPole-v1"), function=jnp.tanh))
    assert stored["fields"]["function"] == {"function": "jax.numpy:tanh"}
    assert from_config(stored).function is jnp.tanh
    for path in ("os:abort", "builtins:breakpoint", "shutil:rmtree", "mine:upright"):
        stored["fields"]["function"] = {"function": path}
        with pytest.raises(
            ValueError, match=rf"function {path} is not loaded.*add trust=\['{path.partition(':')[0]}'\]"
        ):
            from_config(stored)
        assert path.partition(":")[0] in named_modules(stored)
    shaping = {"class": "jaxrl.wrappers.shaping.PotentialShaping",
               "fields": {"env": to_config(cart_pole()), "potential": {"function": "mine:upright"}}}  # fmt: skip
    assert from_config(shaping, Trust(("mine",))).potential is mine.upright
    with pytest.raises(ValueError, match=r"its module mine lies in .*, the folder that is read"):
        from_config(shaping, Trust(("mine",), folder=place))
    for path, message in (
        ("mine:uprigth", r"mine has no such function \(did you mean 'upright'\?\)"),
        ("mine:Negated", r"mine has no such function"),
        ("mine", r"must be of the form module:name"),
        ("mine:a.b", r"must be of the form module:name"),
    ):
        shaping["fields"]["potential"] = {"function": path}
        with pytest.raises(ValueError, match=message):
            from_config(shaping, Trust(("mine",)))


@pytest.mark.usefixtures("never_compiled")
def test_a_function_that_no_module_has_can_not_be_kept(tmp_path):
    env = TransformReward(cart_pole(), function=lambda reward: 2 * reward)
    with pytest.raises(
        TypeError, match=r"DQN.env.function = .* can't be stored: give a function that is defined at the top"
    ):
        train(dqn(env=env), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("TimeAware", ("TimeAware", {})),
        ("FrameStack:k=4", ("FrameStack", {"k": 4})),
        ("ClipReward:low=-1,high=none", ("ClipReward", {"low": -1, "high": None})),
        ("ObservationMask:keep=(0,2)", ("ObservationMask", {"keep": (0, 2)})),
        ("my.own:Wrapper", ("my.own:Wrapper", {})),
        ("my.own:Wrapper:p=0.5,q=true", ("my.own:Wrapper", {"p": 0.5, "q": True})),
        ("TransformReward:function=jax.numpy:tanh", ("TransformReward", {"function": "jax.numpy:tanh"})),
    ],
)
def test_words(word, meaning):
    assert parse_wrap(word) == meaning


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (
            ["--wrap", "FrameStak"],
            "unknown wrapper 'FrameStak' (did you mean 'FrameStack'?); known: FlattenObservation",
        ),
        (["--wrap", "FrameStack:l=4"], "FrameStack has no parameter 'l'; it has: k"),
        (["--wrap", "FrameStack:k"], "wrapper 'FrameStack:k' can't be imported"),
        (["--wrap", "FrameStack:k=2=3"], "FrameStack.k = '2=3' must be a whole number"),
        (["--wrap", "FrameStack:k=2,k=3"], "--wrap k is given twice"),
        (["--wrap", ":k=2"], "--wrap ':k=2' must be of the form NAME or NAME:FIELD=VALUE"),
        (["--wrap", "DelayedReward"], "DelayedReward needs k, as in DelayedReward:k=VALUE"),
        (["--wrap", "StickyAction:p=2"], "StickyAction.p = 2 must be >= 0 and < 1"),
        (["--wrap", "RescaleAction"], "RescaleAction can't wrap CartPole: it needs continuous actions"),
        (["--wrap", "TransformReward:function=tanh"], "TransformReward.function = 'tanh' must name a function"),
        (["--wrap", "TransformReward:function=jax.numpy:tan_h"], "can't be imported: module 'jax.numpy' has no"),
        (["--wrap", "no_such:Thing"], "wrapper 'no_such:Thing' can't be imported: No module named 'no_such'"),
    ],
)
@pytest.mark.usefixtures("never_compiled")
def test_bad_words_get_one_line(words, output, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    for command in (["check", "CartPole-v1"], ["train", "dqn", "--env", "CartPole-v1"]):
        assert main([*command, *words]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert output in error


def test_checks_and_lists(capsys):
    assert main(["check", "Pendulum-v1", "--wrap", "DiscretizeAction:bins=3", "--steps", "20"]) == 0
    assert "DiscretizeAction(Pendulum): nothing found" in capsys.readouterr().out
    assert main(["envs"]) == 0
    output = capsys.readouterr().out
    for text in ("--wrap FrameStack", "How many observations are stacked.", "--wrap PotentialShaping"):
        assert text in output


def test_the_preset_is_that_of_the_environment_inside(capsys, monkeypatch):
    trained = []

    def stop(agent, **arguments):
        trained.append((agent, arguments["iterations"]))
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxrl.cli.train.train", stop)
    words = ["train", "ppo", "--env", "Pendulum-v1", "--wrap", "DiscretizeAction:bins=3"]
    for more, discount, iterations in (([], 0.95, 73), (["--preset", "none"], 0.99, 300)):
        assert main([*words, *more]) == 130
        agent, length = trained.pop()
        assert (agent.discount, agent.env.bins, length) == (discount, 3, iterations)
    output = " ".join(capsys.readouterr().out.split())
    assert re.search(r"preset ppo-pendulum: .* \(made for Pendulum-v1 without wrappers\)", output)


def test_sweeps_of_wrapped_environments_from_words_and_from_a_file(tmp_path, capsys):
    content = f"""
        agent = "dqn"
        env = "CartPole-v1"
        wrap = ["StickyAction:p=0.1", "FrameStack"]
        steps = 60
        seeds = 1
        episodes = 2
        progress = false
        log_points = 6
        hidden = [8]
        batch_size = 4
        buffer_size = 64
        learning_starts = 8
        out = "{tmp_path / "sweep"}"

        [environment]
        max_steps = 20

        [space]
        "env.k" = [3]
        "env.env.env.length" = [0.4, 0.5]
    """
    (tmp_path / "sweep.toml").write_text(content)
    assert main(["sweep", str(tmp_path / "sweep.toml")]) == 0
    assert "DQN on CartPole-v1, StickyAction:p=0.1, FrameStack" in " ".join(capsys.readouterr().out.split())
    table = jaxrl.load(tmp_path / "sweep").table()
    assert sorted(set(zip(table["env.k"], table["env.env.env.length"], strict=True))) == [
        (3, 0.4),
        (3, 0.5),
    ]
    (tmp_path / "sweep.toml").write_text(content.replace('["StickyAction:p=0.1", "FrameStack"]', "3"))
    assert main(["sweep", str(tmp_path / "sweep.toml")]) == 2
    assert "wrap = 3 must be text, in quotes" in capsys.readouterr().err


def test_no_field_of_a_layer_is_both_fixed_and_swept():
    options = SweepOptions(env_parameter=("length=0.5",), wrap=("StickyAction:p=0.1", "FrameStack:k=2"))
    for path in ("env.k", "env.env.p", "env.env.env.length"):
        with pytest.raises(SpaceError, match=rf"{path} is both fixed and in the space"):
            refuse_fixed({path: [1]}, options, ["dqn"])
    refuse_fixed({"env.p": [1], "env.env.length": [1], "env.env.env.gravity": [1]}, options, ["dqn"])


def test_shaping_of_a_sweep_is_kept_with_the_agents_discount(place, monkeypatch):
    monkeypatch.syspath_prepend(place)
    import mine

    env = PotentialShaping(cart_pole(), potential=mine.upright)
    agent = dqn(env=env)
    jaxrl.sweep(
        agent,
        {"discount": [0.9, 0.95]},
        seeds=1,
        steps=60,
        log_points=6,
        episodes=2,
        keep="all",
        out="s",
        progress=False,
    )
    result = jaxrl.load("s", trust=["mine"])
    assert [float(result.member(trial, 0).agent.env.discount) for trial in (0, 1)] == pytest.approx([0.9, 0.95])
