"""Files of continuous policies: the deterministic action, inside its bounds."""

import jax
import numpy as np
import pytest
from export_helpers import decided

import jaxrl
from jaxrl.cli import main
from jaxrl.export import QUANTIZATIONS, ExportError, to_saved_model, to_tflite
from jaxrl.export.model import model_function
from jaxrl.export.parity import CLOSE, Comparison, Subject
from jaxrl.export.tflite_file import PolicyFile, PolicyFileError, evaluate_file

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def pendulum():
    agent = jaxrl.PPO(jaxrl.make("Pendulum-v1"), normalize_observations=True)
    result = jaxrl.train(agent, 4 * agent.steps_per_iteration, progress=False)
    params = result.member(0).params
    assert np.ptp(params.moments.mean) > 0
    return jaxrl.Member(agent, 0, 0, params, {"diverged": np.zeros(1, bool)})


@pytest.mark.parametrize("quantize", QUANTIZATIONS)
def test_the_file_gives_the_deterministic_action(quantize, pendulum, tmp_path):
    report = to_tflite(pendulum, tmp_path / "pendulum.tflite", quantize=quantize)
    assert report.output == "action"
    assert report.equal_actions_along is None
    assert report.equal_actions >= {"none": 1.0, "int8": 0.97}.get(quantize, 0.995)
    if quantize == "none":
        assert report.greatest_difference <= 1e-5
    file = PolicyFile(report.path)
    obs = np.random.default_rng(0).uniform(-1, 1, (50, 3)).astype(np.float32)
    wanted = np.stack([pendulum.policy(o) for o in obs])
    np.testing.assert_allclose(file(obs), wanted, atol=1e-5 if quantize == "none" else 4 * CLOSE)
    assert file.metadata["actions"] == {"shape": [1], "dtype": "float32", "low": -2.0, "high": 2.0}


@jaxrl.pytree
class Crane(jaxrl.Environment):
    """Four motors in a square, each with bounds of its own; no action earns a reward."""

    gain: float = 0.0
    max_steps: int = jaxrl.static(default=10)
    observed: int = jaxrl.static(default=2)

    @property
    def observation_space(self):
        return jaxrl.Box(-1.0, 1.0, (self.observed,))

    @property
    def action_space(self):
        return jaxrl.Box(np.array([[-1, 0], [-5, 2]], np.float32), np.array([[1, 3], [5, 2.5]], np.float32), (2, 2))

    def reset(self, key):
        obs = jax.random.uniform(key, (self.observed,), minval=-1, maxval=1)
        return obs, obs

    def step(self, state, action, key):
        obs, _ = self.reset(key)
        return obs, jaxrl.TimeStep(obs, np.float32(0) * self.gain, np.bool_(False))


@jaxrl.pytree
class Roll(Crane):
    """As a crane of three observations, with two discrete actions."""

    @property
    def observation_space(self):
        return jaxrl.Box(-1.0, 1.0, (3,))

    @property
    def action_space(self):
        return jaxrl.Discrete(2)


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_actions_stay_inside_the_bounds_of_each_dimension(quantize, tmp_path):
    member = decided(jaxrl.PPO(Crane()), factor=300)
    file = PolicyFile(to_tflite(member, tmp_path / "crane.tflite", quantize=quantize, batch="dynamic").path)
    actions = file(np.random.default_rng(0).uniform(-3, 3, (200, 2)).astype(np.float32))
    space = member.agent.env.action_space
    assert actions.shape == (200, 2, 2)
    assert (actions >= space.low).all()
    assert (actions <= space.high).all()
    assert (actions == space.low).any()
    assert (actions == space.high).any()
    assert file.metadata["actions"]["low"] == [[-1.0, 0.0], [-5.0, 2.0]]
    assert evaluate_file(file, member.agent.env, 4).tolist() == [0.0] * 4


@jaxrl.pytree
class Unbounded(jaxrl.PPO):
    """Gives what lies outside of the bounds by half their range."""

    def outputs(self, params, carry, obs):
        space = self.env.action_space
        outside = np.where(np.arange(4) % 2, 1.5 * space.high.ravel() - 0.5 * space.low.ravel(), -10)
        return jax.numpy.tile(outside, (len(obs), 1)).astype(np.float32), carry


def test_a_file_keeps_actions_inside_even_where_the_agent_does_not():
    member = decided(Unbounded(Crane()))
    actions = model_function(member.agent, member.params, "action", False)(np.zeros((2, 2), np.float32))["action"]
    np.testing.assert_array_equal(actions, np.tile(np.array([[-1, 3], [-5, 2.5]], np.float32), (2, 1, 1)))


def test_differences_are_judged_by_the_range_of_each_dimension():
    member = decided(jaxrl.PPO(Crane()), factor=1)
    subject = Subject(member, "action", False)
    compare, function = Comparison(subject), subject.function(member.params)

    def beside(distance):
        def run(carry, obs, mask):
            return np.asarray(function(obs)["action"]) + distance, ()

        return compare(run)

    assert beside(0).suffices("none")
    only_widest = np.zeros((2, 2), np.float32)
    only_widest[1, 0] = 10 * CLOSE * 0.9
    assert beside(only_widest).equal == 1.0
    assert beside(only_widest).difference == pytest.approx(0.9 * CLOSE, rel=1e-3)
    narrowest = np.zeros((2, 2), np.float32)
    narrowest[1, 1] = 0.5 * CLOSE * 1.1
    assert beside(narrowest).equal == 0.0
    assert not beside(narrowest).suffices("int8")
    assert not beside(np.nan).suffices("int8")
    with pytest.raises(ExportError, match=r"action differ by 0.018, and may by 1e-05"):
        beside(only_widest).require("none", "action")


def test_a_saved_model_gives_the_action(pendulum, tmp_path):
    to_saved_model(pendulum, tmp_path / "served")
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    obs = np.random.default_rng(0).uniform(-1, 1, (7, 3)).astype(np.float32)
    result = serve(observation=tf.constant(obs))["action"].numpy()
    np.testing.assert_allclose(result, np.stack([pendulum.policy(o) for o in obs]), atol=1e-5)


def test_bad_arguments(pendulum, tmp_path):
    path = tmp_path / "x.tflite"
    for call, words in [
        (
            lambda: to_tflite(pendulum, path, output="probabilities"),
            "output = 'probabilities' is not of a PPO: the actions of Pendulum are continuous, and it gives action",
        ),
        (
            lambda: to_tflite(pendulum, path, mask=True),
            "mask = True, and the actions of Pendulum are continuous: masks are for discrete ones; leave it out",
        ),
        (lambda: to_saved_model(pendulum, tmp_path / "m", output="logits"), "output = 'logits' is not of a PPO"),
    ]:
        with pytest.raises(ExportError, match=words):
            call()
    assert list(tmp_path.iterdir()) == []


def test_files_that_do_not_fit(pendulum, tmp_path):
    file = PolicyFile(to_tflite(pendulum, tmp_path / "pendulum.tflite").path)
    returns = evaluate_file(file, pendulum.agent.env, 4)
    assert (returns < 0).all()
    discrete = PolicyFile(to_tflite(decided(jaxrl.PPO(jaxrl.make("MemoryChain-v0"))), tmp_path / "chain.tflite").path)
    with pytest.raises(PolicyFileError, match=r"gives action of shape \[1\] \(float32\), and Roll has 2 actions"):
        file.check_fits(Roll())
    with pytest.raises(PolicyFileError, match=r"gives probabilities of shape \[2\] .*, and an action of Crane"):
        discrete.check_fits(Crane(observed=3))


def test_export_and_evaluate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--iterations", "2", "--hidden", "8", "--out", "run", "--no-progress"]
    assert main(["train", "ppo", "--env", "Pendulum-v1", *words]) == 0
    assert main(["export", "run", "pendulum.tflite", "--member", "0"]) == 0
    assert "actions within 2% of their range" in capsys.readouterr().out
    assert main(["evaluate", "pendulum.tflite", "--env", "Pendulum-v1", "--episodes", "4"]) == 0
    assert "return, mean" in capsys.readouterr().out
    for wrong in (["--output", "logits"], ["--mask"]):
        assert main(["export", "run", "x.tflite", *wrong]) == 2
        assert "continuous" in capsys.readouterr().err


def wide(agent: jaxrl.Agent) -> jaxrl.Member:
    """A member whose weights are large enough for actions at the bounds."""
    params = jax.tree.map(lambda x: 4 * np.asarray(x), agent.params(agent.init(jax.random.key(0))))
    return jaxrl.Member(agent, 0, 0, params, {"diverged": np.zeros(1, bool)})


@pytest.mark.parametrize("algorithm", [jaxrl.DDPG, jaxrl.TD3, jaxrl.SAC])
def test_off_policy_actors_stay_inside_the_bounds_of_each_dimension(algorithm, tmp_path):
    member = wide(algorithm(Crane(), hidden=(16,), normalize_observations=True))
    file = PolicyFile(to_tflite(member, tmp_path / "crane.tflite", batch="dynamic").path)
    obs = np.random.default_rng(0).uniform(-3, 3, (100, 2)).astype(np.float32)
    actions, space = file(obs), member.agent.env.action_space
    np.testing.assert_allclose(actions, np.stack([member.policy(o) for o in obs]), atol=1e-4)
    assert (actions >= space.low).all()
    assert (actions <= space.high).all()
    assert (np.isclose(actions, space.low, atol=1e-3) | np.isclose(actions, space.high, atol=1e-3)).any()


def test_a_saved_model_of_sac_gives_the_action(tmp_path):
    member = wide(jaxrl.SAC(jaxrl.make("Pendulum-v1"), hidden=(16,)))
    to_saved_model(member, tmp_path / "served")
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    obs = np.random.default_rng(0).uniform(-1, 1, (7, 3)).astype(np.float32)
    result = serve(observation=tf.constant(obs))["action"].numpy()
    np.testing.assert_allclose(result, np.stack([member.policy(o) for o in obs]), atol=1e-5)


def test_discrete_sac_gives_probabilities(tmp_path):
    member = wide(jaxrl.SAC(jaxrl.make("CartPole-v1"), hidden=(16,)))
    report = to_tflite(member, tmp_path / "pole.tflite")
    assert report.output == "probabilities"
    assert report.equal_actions == 1.0
