"""Modules of JavaScript: every kind of feed-forward policy, run by Node.js beside the member itself."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from javascript import in_node, needs_node
from structured_environments import Panel

import jaxrl
from jaxrl.cli import main
from jaxrl.export import ExportError, to_javascript
from jaxrl.export.javascript import module_of, program_of
from jaxrl.export.model import output_kinds
from jaxrl.export.parity import Subject
from jaxrl.wrappers import FrameStack, ObservationMask

pytestmark = pytest.mark.usefixtures("fast_compilation")
ROWS = 40


def planes():
    return jaxrl.make("PlaneStrike-v0", size=5)


def cart_pole():
    return jaxrl.make("CartPole-v1", max_steps=20)


def pendulum():
    return jaxrl.make("Pendulum-v1")


POLICIES = {
    "reinforce": lambda: jaxrl.Reinforce(planes(), hidden=(8,)),
    "a2c": lambda: jaxrl.A2C(cart_pole(), hidden=(8,)),
    "ppo": lambda: jaxrl.PPO(jaxrl.make("Acrobot-v1"), hidden=(8, 8), activation="relu", shared=True),
    "ppo, continuous": lambda: jaxrl.PPO(pendulum(), hidden=(8,), normalize_observations=True),
    "ppo, several arrays and choices": lambda: jaxrl.PPO(Panel(), hidden=(8,)),
    "ppo, wrapped": lambda: jaxrl.PPO(FrameStack(ObservationMask(pendulum(), keep=(0, 2)), k=2), hidden=(8,)),
    "dqn": lambda: jaxrl.DQN(planes(), hidden=(8,)),
    "dqn, dueling quantiles": lambda: jaxrl.DQN(cart_pole(), hidden=(8,), dueling=True, quantiles=3),
    "sac": lambda: jaxrl.SAC(cart_pole(), hidden=(8,), activation="silu"),
    "sac, continuous": lambda: jaxrl.SAC(pendulum(), hidden=(8,), normalize_observations=True, activation="gelu"),
    "td3": lambda: jaxrl.TD3(pendulum(), hidden=(8,), activation="elu"),
    "ddpg": lambda: jaxrl.DDPG(pendulum(), hidden=(8,)),
    "q-learning": lambda: jaxrl.QLearning(jaxrl.make("FrozenLake-v1")),
}
every_policy = pytest.mark.parametrize("name", POLICIES)


def drawn(agent):
    """A member with parameters drawn at random."""
    generator = np.random.default_rng(3)
    shapes = jax.eval_shape(lambda key: agent.params(agent.init(key)), jax.random.key(0))

    def leaf(path, x):
        # Of normalised observations.
        least = 0.1 if "variance" in jax.tree_util.keystr(path) else -1.0
        return generator.uniform(least, 1.0, x.shape).astype(x.dtype)

    params = jax.tree_util.tree_map_with_path(leaf, shapes)
    return jaxrl.Member(agent, 0, 0, params, {"diverged": np.zeros(1, bool)})


def subject(name, mask=False, kind=None):
    member = drawn(POLICIES[name]())
    return Subject(member, kind or output_kinds(member.agent)[0], mask)


def module(subject, path, **about):
    path.write_text(module_of(subject, program_of(subject), about))
    return path


def observations(env):
    """Observations `[rows, ...]`, of which those of a game are boards."""
    obs = env.observation_space.sample(jax.random.key(0), (ROWS,))
    return jnp.rint(obs) if isinstance(env, jaxrl.envs.PlaneStrike) else obs


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the functions of all modules give, by the names of the policies, in one process of Node.js."""
    folder, given, lines = tmp_path_factory.mktemp("modules"), {}, ["const result = {};"]
    for number, name in enumerate(POLICIES):
        made = subject(name)
        path = module(made, folder / f"policy_{number}.mjs")
        columns = dict(zip(made.inputs, jax.tree.leaves(observations(made.member.agent.env)), strict=True))
        rows = [{name: np.asarray(x[row]) for name, x in columns.items()} for row in range(ROWS)]
        given[name] = rows if len(columns) > 1 else [row["observation"] for row in rows]
        lines.append(
            f'{{ const {{ outputs, act }} = await import("{path}"); const name = {json.dumps(name)};'
            " result[name] = given[name].map((x) => ({ outputs: outputs(x), action: act(x) })); }"
        )
    return in_node("\n".join(lines), given, folder)


@needs_node
@every_policy
def test_every_feed_forward_policy_plays_the_same(name, results):
    made = subject(name)
    agent, params = made.member.agent, made.member.params
    obs = observations(agent.env)
    mask = jax.vmap(agent.env.observed_mask)(obs)

    @jax.jit
    def policy(obs):
        return agent.act(params, (), obs, mask)[0], agent.outputs(params, (), obs)[0]

    actions, values = map(np.asarray, policy(obs))
    given = {part: np.asarray([row[part] for row in results[name]]) for part in ("outputs", "action")}
    assert len(np.unique(actions, axis=0)) > 1
    if isinstance(agent.env.action_space, jaxrl.Box):
        np.testing.assert_allclose(given["action"].reshape(actions.shape), actions, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(given["action"], actions)
    if made.kind == "q-values":
        np.testing.assert_allclose(given["outputs"], values, rtol=1e-5, atol=1e-5)
    elif made.kind == "probabilities":
        allowed = np.exp(np.float64(values) - values.max(axis=1, keepdims=True)) * (1 if mask is None else mask)
        np.testing.assert_allclose(given["outputs"], allowed / allowed.sum(axis=1, keepdims=True), atol=2e-5)
    else:
        np.testing.assert_array_equal(given["outputs"], given["action"].reshape(given["outputs"].shape))


@needs_node
def test_a_mask_may_be_an_input(tmp_path):
    made = subject("dqn", mask=True)
    path, member = module(made, tmp_path / "policy.mjs", seed=7), made.member
    board, mask = np.zeros((5, 5), np.float32), np.zeros(25, bool)
    mask[[7, 11]] = True
    script = (
        f'const {{ outputs, act, inputs, about }} = await import("{path}");\n'
        "const result = given.map((x) => ({ outputs: outputs(x), action: act(x), inputs, about }));"
    )
    (result,) = in_node(script, [{"observation": board, "mask": mask}], tmp_path)
    values = member.agent.outputs(member.params, (), board[None])[0][0]
    assert result["action"] == member.policy(board, mask=mask) in (7, 11)
    np.testing.assert_allclose(np.asarray(result["outputs"])[mask], values[mask], rtol=1e-5)
    shapes = {"observation": {"shape": [5, 5], "dtype": "float32"}, "mask": {"shape": [25], "dtype": "bool"}}
    assert (result["inputs"], result["about"]) == (shapes, {"seed": 7})


@needs_node
def test_a_module_says_what_it_takes(tmp_path):
    one = module(subject("a2c", kind="logits"), tmp_path / "one.mjs")
    several = module(subject("ppo, several arrays and choices"), tmp_path / "several.mjs")
    script = (
        f'const [one, several] = [await import("{one}"), await import("{several}")];\n'
        "const said = (f) => { try { return f(); } catch (error) { return `${error}`; } };\n"
        "const result = [said(() => one.outputs([1, 2, 3])), said(() => one.act([1, 2, NaN, 4])), "
        "said(() => one.outputs()), said(() => several.act([1])), said(() => several.act({ observation_dial: 1 })), "
        "said(() => one.act(Float64Array.of(0.1, 0, 0, 0)) === one.act([[0.1, 0], [0, 0]]))];"
    )
    results = in_node(script, None, tmp_path)
    wrong = "RangeError: observation must be 4 finite numbers, of the shape [4]"
    names = "observation_dial, observation_lamps_0, observation_lamps_1"
    assert results[:4] == [wrong, wrong, wrong, f"TypeError: give an object with the arrays {names}"]
    assert results[4].startswith("RangeError: observation_lamps_0 must be 1 finite numbers")
    assert results[5] is True


def test_names_in_a_module_end_no_script(tmp_path):
    text = module(subject("a2c"), tmp_path / "policy.mjs", run="</script>\u2028").read_text()
    assert "</script>" not in text
    assert "\u2028" not in text
    assert about_of(text) == {"run": "</script>\u2028"}


def about_of(text):
    return json.loads(text.split("export const about = ")[1].split(";\n")[0])


def test_what_can_t_be_a_module_is_refused(tmp_path):
    recurrent = drawn(jaxrl.PPO(pendulum(), memory="gru", memory_size=4))
    feed_forward = drawn(POLICIES["a2c"]())
    with pytest.raises(ExportError, match="the policy of this PPO has memory, and JavaScript is for policies without"):
        to_javascript(recurrent, tmp_path / "policy.mjs")
    with pytest.raises(ExportError, match="output = 'q-values' is not of a A2C: it gives probabilities or logits"):
        to_javascript(feed_forward, tmp_path / "policy.mjs", output="q-values")
    with pytest.raises(ExportError, match=r"policy.tflite must end in .mjs or .js"):
        to_javascript(feed_forward, tmp_path / "policy.tflite")
    with pytest.raises(ExportError, match="is a folder: give the name of a file"):
        to_javascript(feed_forward, tmp_path)
    assert not list(tmp_path.iterdir())


@jaxrl.pytree
class Sorting(jaxrl.A2C):
    """A policy with an operation that is not translated."""

    def outputs(self, params, carry, obs):
        values, carry = super().outputs(params, carry, obs)
        return jax.numpy.sort(values), carry


def test_an_operation_that_is_not_translated_is_named(tmp_path):
    agent = Sorting(jaxrl.make("CartPole-v1", max_steps=20), hidden=(8,))
    with pytest.raises(ExportError, match="the policy can't be JavaScript: the operation sort is not translated"):
        to_javascript(drawn(agent), tmp_path / "policy.mjs")
    assert not list(tmp_path.iterdir())


def test_a_module_of_somebody_else_is_not_replaced(tmp_path):
    path = tmp_path / "policy.mjs"
    path.write_text("export const mine = 1;\n")
    with pytest.raises(ExportError, match="holds something else: give a file that is not there"):
        to_javascript(drawn(POLICIES["a2c"]()), path)
    assert path.read_text() == "export const mine = 1;\n"


def test_a_program_that_plays_otherwise_is_not_written(tmp_path, monkeypatch):
    from jaxrl.export import javascript

    other = drawn(jaxrl.QLearning(jaxrl.make("FrozenLake-v1", max_steps=10)))
    wrong = program_of(Subject(jaxrl.Member(other.agent, 0, 0, -other.params, other.log), "q-values", False))
    monkeypatch.setattr(javascript, "program_of", lambda subject: wrong)
    with pytest.raises(ExportError, match="the exported file chooses the policy's action in"):
        to_javascript(other, tmp_path / "policy.mjs")
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path, capsys):
    agent = jaxrl.QLearning(jaxrl.make("FrozenLake-v1", max_steps=10))
    result = jaxrl.train(agent, iterations=1, out=tmp_path / "run", progress=False)
    path, export = tmp_path / "policy.mjs", ["export", str(tmp_path / "run")]
    path.write_text("// A policy of jaxrl, an older one")
    assert main([*export, str(tmp_path / "policy"), "--format", "js"]) == 0
    assert "equal greedy actions" in capsys.readouterr().out
    about = about_of(path.read_text())
    assert (about["run"], about["equal_actions"], about["observations_compared"]) == ("run", 1.0, 512)
    assert about["greatest_difference"] <= 1e-5
    assert about["seed"] == result.seeds[0]
    for options, complaint in (
        (["--format", "js", "--quantize", "int8"], "--quantize is for TFLite files: --format js holds float32"),
        (["--format", "web", "--batch", "dynamic"], "--batch is for TFLite files: --format web takes one observation"),
        (["--format", "web", "--output", "action"], "--output and --mask are not for --format web"),
        (["--format", "web", "--mask"], "--output and --mask are not for --format web"),
        (
            ["--format", "web"],
            "this one plays FrozenLake: export the policy alone by jaxrl.export.to_javascript (--format js)",
        ),
    ):
        assert main([*export, str(tmp_path / "other"), *options]) == 2
        assert complaint in capsys.readouterr().err
    assert sorted(x.name for x in tmp_path.iterdir()) == ["policy.mjs", "run"]
