"""Bad input to `jaxrl.train` and `jaxrl.evaluate`: named, with the remedy, before anything is compiled."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import LOG_POINTS, STEPS, a2c, cart_pole, dqn, ppo, reinforce, train

import jaxrl
from jaxrl.plan import make_plan
from jaxrl.pytree import field_bounds, is_static
from jaxrl.train_config import TrainConfig

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module")
def result() -> jaxrl.Result:
    return train(seeds=2)


def outside(field: dataclasses.Field) -> list[Any]:
    """Values that a field must not accept, by its own declaration."""
    bounds = field_bounds(field)
    if bounds.choices is not None:
        return ["nonsense", None]
    wrong = [] if bounds.minimum is None else [bounds.minimum - 1]
    wrong += [] if bounds.above is None else [bounds.above, bounds.above - 1]
    wrong += [] if bounds.maximum is None else [bounds.maximum + 1]
    if field.type == tuple[int, ...]:
        return [(8, 0), (8, 8.5), (8, True), [8], 8, None]
    if is_static(field):
        return [*wrong, 1.5, 32.0, True, "4", None] if field.type is int else wrong
    return [*wrong, float("nan"), float("inf"), 1e39, "4", True, np.array([0.5, 0.25])]


def bad_fields() -> Iterator[Any]:
    for cls in (jaxrl.DQN, jaxrl.Reinforce, jaxrl.PPO, jaxrl.A2C, type(cart_pole())):
        for field in dataclasses.fields(cls):
            for value in outside(field) if field.name != "env" else ["CartPole-v1", jaxrl.DQN, 3]:
                name = f"{cls.__name__}.{field.name}={value!r}"
                yield pytest.param(cls, field.name, value, id=name)


@pytest.mark.parametrize(("cls", "name", "value"), list(bad_fields()))
def test_a_bad_field_is_named(cls: Any, name: str, value: Any, never_compiled: None) -> None:
    builders = {jaxrl.DQN: dqn, jaxrl.Reinforce: reinforce, jaxrl.PPO: ppo, jaxrl.A2C: a2c}
    build = builders.get(cls, lambda **fields: dqn(env=cart_pole(**fields)))
    with pytest.raises((TypeError, ValueError)) as caught:
        train(build(**{name: value}))
    message = str(caught.value)
    assert message.startswith(f"{cls.__name__}.{name} = {value!r} "), message
    assert "must be " in message, message


def test_more_environments_than_episodes(never_compiled: None) -> None:
    with pytest.raises(ValueError, match=r"Reinforce.num_envs = 4 must be at most episodes_per_update = 3"):
        train(reinforce(num_envs=4, episodes_per_update=3))


@jaxrl.pytree
class Continuous(jaxrl.Environment):
    max_steps: int = jaxrl.static(default=5)
    observation_space = jaxrl.Box(-1.0, 1.0, (1,), jnp.float32)
    action_space = jaxrl.Box(-1.0, 1.0, (1,), jnp.float32)

    def reset(self, key: Any) -> Any:
        return jnp.zeros(1), jnp.zeros(1)

    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state, jaxrl.TimeStep(state, jnp.float32(0), jnp.bool_(False), jnp.bool_(False))


@jaxrl.pytree
class Discretised(Continuous):
    action_space = jaxrl.Discrete(2)


@jaxrl.pytree
class WrongObservation(Discretised):
    def reset(self, key: Any) -> Any:
        return jnp.zeros(1), jnp.zeros(2)


@jaxrl.pytree
class WrongReward(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state, jaxrl.TimeStep(state, jnp.int32(0), jnp.bool_(False), jnp.bool_(False))


@jaxrl.pytree
class Raising(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return [][state.shape[0]]


@jaxrl.pytree
class OtherState(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state.astype(jnp.int32), super().step(state, action, key)[1]


@jaxrl.pytree
class OtherStructure(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return {"x": state}, super().step(state, action, key)[1]


@jaxrl.pytree
class WrongTruncated(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state, jaxrl.TimeStep(state, jnp.float32(0), jnp.bool_(False), jnp.float32(0))


@jaxrl.pytree
class WrongMask(Discretised):
    def action_mask(self, state: Any) -> Any:
        return jnp.ones(1, bool)


@jaxrl.pytree
class FloatMask(Discretised):
    def action_mask(self, state: Any) -> Any:
        return jnp.ones(2)


@jaxrl.pytree
class Endless(Discretised):
    max_steps: int = jaxrl.static(default=0)


@pytest.mark.parametrize("algorithm", [jaxrl.DQN, jaxrl.Reinforce])
def test_continuous_actions_do_not_suit(algorithm: Any, never_compiled: None) -> None:
    words = (
        f"{algorithm.__name__} on Continuous: {algorithm.__name__} needs a Discrete action space, and this is Box.*:"
    )
    with pytest.raises(TypeError, match=words + " choose an algorithm for Box actions, or make the actions Discrete"):
        train(algorithm(Continuous()))


def test_discrete_actions_do_not_suit_an_agent_of_continuous_ones(never_compiled: None) -> None:
    @jaxrl.pytree
    class OnlyContinuous(jaxrl.PPO):
        action_spaces = (jaxrl.Box,)

    words = r"OnlyContinuous needs a Box action space, and this is Discrete\(n=2\): choose an algorithm for Discrete"
    with pytest.raises(TypeError, match=words):
        train(OnlyContinuous(Discretised()))


@pytest.mark.parametrize(
    "space",
    [
        jaxrl.Box(shape=(1,)),
        jaxrl.Box(-1.0, np.inf, (1,)),
        jaxrl.Box(np.float32([-1, 0]), np.float32([1, 0]), (2,)),
        jaxrl.Box(1.0, -1.0, (1,)),
    ],
    ids=["none", "half", "equal", "exchanged"],
)
@pytest.mark.parametrize("algorithm", [jaxrl.A2C, jaxrl.PPO])
def test_actions_need_finite_bounds(algorithm: Any, space: Any, never_compiled: None) -> None:
    @jaxrl.pytree
    class Unbounded(Continuous):
        action_space = space

    words = f"{algorithm.__name__} needs finite bounds of its actions, low below high, .*Box.*: give .*jaxrl.Box"
    with pytest.raises(ValueError, match=f"(?s){words}"):
        train(algorithm(Unbounded()))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"num_envs": 3, "rollout_steps": 5, "minibatches": 4},
            r"PPO.minibatches = 4 must divide num_envs \* rollout_steps = 15: minibatches = 3 does",
        ),
        (
            {"num_envs": 6, "rollout_steps": 4, "minibatches": 4, "memory": "gru"},
            "PPO.minibatches = 4 must divide num_envs = 6, because .* whole sequences: minibatches = 3 does",
        ),
    ],
)
def test_a_batch_that_does_not_divide_into_minibatches(fields: Any, words: str, never_compiled: None) -> None:
    with pytest.raises(ValueError, match=words):
        train(ppo(**fields))


@pytest.mark.parametrize("build", [ppo, a2c])
def test_a_rollout_that_is_longer_than_the_run(build: Any, never_compiled: None) -> None:
    agent = build(num_envs=4, rollout_steps=32)
    words = f"steps = 100 is less than one iteration of {type(agent).__name__}, .* 128 environment steps"
    with pytest.raises(ValueError, match=words):
        train(agent, 100)


@jaxrl.pytree
class Growing(jaxrl.PPO):
    """Remembers one more number at every step."""

    def initial_carry(self, batch: int) -> Any:
        return jnp.zeros((batch, 1))

    def act(self, params: Any, carry: Any, obs: Any, mask: Any = None, bits: Any = None) -> Any:
        action, _, extras = super().act(params, (), obs, mask, bits)
        return action, jnp.concatenate([carry, carry[:, :1]], axis=1), extras


@jaxrl.pytree
class GrowingGreedily(Growing):
    """Only when it does not explore."""

    def act(self, params: Any, carry: Any, obs: Any, mask: Any = None, bits: Any = None) -> Any:
        action, following, extras = super().act(params, carry, obs, mask, bits)
        return action, carry if bits is not None else following, extras


@jaxrl.pytree
class Counting(Growing):
    """Its `outputs` give another dtype."""

    def act(self, params: Any, carry: Any, obs: Any, mask: Any = None, bits: Any = None) -> Any:
        action, _, extras = super().act(params, carry, obs, mask, bits)
        return action, carry, extras

    def outputs(self, params: Any, carry: Any, obs: Any) -> Any:
        return super().outputs(params, (), obs)[0], carry.astype(jnp.int32)


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (Growing, r"Growing.act gives the carry .*\(2, 2\).* what Growing.initial_carry gives: .*\(2, 1\)"),
        (GrowingGreedily, r"GrowingGreedily.act gives the carry .*\(2, 2\)"),
        (Counting, r"Counting.outputs gives the carry .*int32.*initial_carry gives: .*float32"),
    ],
)
def test_a_carry_that_changes_its_form(cls: Any, words: str, never_compiled: None) -> None:
    agent = ppo()
    with pytest.raises(ValueError, match=words):
        train(cls(**{field.name: getattr(agent, field.name) for field in dataclasses.fields(agent)}))


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (WrongObservation, r"WrongObservation.*\[obs-shape\] reset's observation is float32\[2\].*: return one array"),
        (WrongReward, r"\[reward-dtype\] reward is int32\[\].*: cast with jnp\.float32"),
        (OtherState, r"\[state-dtype\] state changes from reset to step, float32\[1\] to int32\[1\]"),
        (OtherStructure, r"\[state-structure\] the state changes from reset to step, .*'x'"),
        (WrongTruncated, r"\[flag-dtype\] truncated is float32\[\], not bool"),
        (WrongMask, r"\[mask-shape\] action_mask is bool\[1\].*one bool for each action"),
        (FloatMask, r"\[mask-dtype\] action_mask is float32\[2\]"),
        (Raising, r"\[raises\] step raised IndexError.*: call it yourself"),
        (Endless, r"\[max-steps\] max_steps = 0 is not an int of at least 1: declare"),
    ],
)
def test_an_environment_that_breaks_its_contract(env: Any, words: str, never_compiled: None) -> None:
    with pytest.raises(ValueError, match=f"(?s){words}"):
        train(dqn(env=env()))


ARGUMENTS = [
    ({"steps": 0}, ValueError, "steps = 0 must be at least 1"),
    ({"steps": -5}, ValueError, "steps = -5 must be at least 1"),
    ({"steps": 1e5}, TypeError, "steps = 100000.0 must be a whole number"),
    ({"steps": True}, TypeError, "steps = True must be a whole number"),
    ({"steps": None}, ValueError, "give either steps"),
    ({"iterations": 5}, ValueError, "give either steps"),
    ({"steps": 2**31}, ValueError, r"iterations = 2147483648 must be at most 2\^31 - 1"),
    ({"seeds": 0}, ValueError, "seeds = 0 must be at least 1"),
    ({"seeds": -3}, ValueError, "seeds = -3 must be at least 1"),
    ({"seeds": True}, TypeError, "seeds = True"),
    ({"seeds": 2.0}, TypeError, "seeds = 2.0"),
    ({"seeds": [1.0, 2.0]}, TypeError, r"seeds = \[1.0, 2.0\]"),
    ({"seeds": [True, False]}, TypeError, r"seeds = \[True, False\]"),
    ({"seeds": []}, TypeError, r"seeds = \[\]"),
    ({"seeds": "12"}, TypeError, "seeds = '12'"),
    ({"seeds": None}, TypeError, "seeds = None"),
    ({"seeds": [1, [2, 3]]}, TypeError, r"seeds = \[1, \[2, 3\]\]"),
    ({"seeds": [[1, 2]]}, TypeError, r"seeds = \[\[1, 2\]\]"),
    ({"seeds": [4, 1, 4]}, ValueError, r"seeds repeat \[4\]"),
    ({"seeds": [0, -1]}, ValueError, r"between 0 and 4294967294, and \[0, -1\] are not"),
    ({"seeds": [2**32 - 1]}, ValueError, "between 0 and 4294967294"),
    ({"seeds": 2**32}, ValueError, "seeds = 4294967296 are more than there can be"),
    ({"log_points": 0}, ValueError, "log_points = 0 must be at least 1"),
    ({"log_points": 2.5}, TypeError, "log_points = 2.5 must be a whole number"),
    ({"block_size": 0}, ValueError, "block_size = 0 must be at least 1"),
    ({"devices": 0}, ValueError, "devices = 0 must be at least 1"),
    ({"devices": "2"}, TypeError, "devices = '2' must be a whole number"),
    ({"memory_limit": "8GB"}, TypeError, "memory_limit = '8GB' must be a whole number"),
    ({"checkpoint_seconds": "60"}, TypeError, "checkpoint_seconds = '60' must be a number"),
    ({"checkpoint_seconds": float("nan")}, ValueError, "checkpoint_seconds = nan must be at least 0"),
    ({"steps": 7}, ValueError, "DQN.learning_starts = 8 must be at most the run's 7 steps"),
    ({"devices": 4096}, ValueError, "devices = 4096 must be between 1 and"),
    ({"resume": True}, ValueError, "resume=True .--resume. needs out"),
    ({"vary": [1]}, TypeError, r"vary = \[1\] must be a dict"),
    ({"vary": {"learning_rat": [1, 2]}}, ValueError, "'learning_rat' .did you mean 'learning_rate'"),
    ({"vary": {"env.lenght": [1, 2]}}, ValueError, "'env.lenght' .did you mean 'env.length'"),
    ({"vary": {"env": [1, 2]}}, ValueError, "vary has no leaf 'env'"),
    ({"vary": {"batch_size": [8, 9]}}, ValueError, "vary has no leaf 'batch_size'"),
    ({"vary": {"max_grad_norm": [8, 9]}}, ValueError, r"vary\['max_grad_norm'\] can't switch on what is off"),
    (
        {"vary": {"learning_rate": [1e-3]}},
        ValueError,
        r"vary\['learning_rate'\] has shape \(1,\) and must have .*\(2,\)",
    ),
    ({"vary": {"learning_rate": 1e-3}}, ValueError, r"vary\['learning_rate'\] has shape \(\)"),
    ({"vary": {"learning_rate": [[1e-3], [1, 2]]}}, TypeError, r"vary\['learning_rate'\].*must be numbers"),
    ({"vary": {"learning_rate": ["a", "b"]}}, TypeError, r"vary\['learning_rate'\].*must be numbers"),
    ({"vary": {"learning_rate": [1e-3, 0]}}, ValueError, "DQN.learning_rate = .*must be > 0"),
    ({"vary": {"learning_rate": [1e-3, np.nan]}}, ValueError, "DQN.learning_rate = .*nan.* must be"),
    ({"vary": {"env.gravity": [9.8, np.inf]}}, ValueError, r"vary\['env.gravity'\] = .*inf.* must be finite"),
    ({"vary": {"env.gravity": [9.8, 1e300]}}, ValueError, r"vary\['env.gravity'\] = .*must be finite"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), ARGUMENTS, ids=[repr(a) for a, *_ in ARGUMENTS])
def test_a_bad_argument_is_named(arguments: Any, error: Any, words: str, never_compiled: None) -> None:
    with pytest.raises(error, match=words):
        train(**{"seeds": 2, **arguments})


def test_steps_that_are_less_than_an_iteration(never_compiled: None) -> None:
    with pytest.raises(
        ValueError, match=r"steps = 59 is less than one iteration of Reinforce, .* 60 environment steps"
    ):
        train(reinforce(), 59)
    with pytest.raises(ValueError, match="steps = 7 is less than one iteration of DQN"):
        train(dqn(num_envs=4, train_every=2), 7)


@pytest.mark.parametrize("agent", [None, "dqn", jaxrl.DQN, 3])
def test_what_is_no_agent(agent: Any, never_compiled: None) -> None:
    with pytest.raises(TypeError, match=r"agent = .* must be an agent such as jaxrl.DQN"):
        jaxrl.train(agent, 10)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"episodes": 0}, ValueError, "episodes = 0 must be at least 1"),
        ({"episodes": 2.5}, TypeError, "episodes = 2.5 must be a whole number"),
        ({"block_size": 0}, ValueError, "block_size = 0 must be at least 1"),
        ({"seed": "a"}, TypeError, "seed = 'a' must be a whole number"),
    ],
)
def test_bad_arguments_of_evaluate(arguments: Any, error: Any, words: str, result: jaxrl.Result) -> None:
    with pytest.raises(error, match=words):
        jaxrl.evaluate(result, **arguments)


# Memory.


@pytest.mark.parametrize("block_size", [None, 3])
@pytest.mark.parametrize("limit", [2 * 2**20, 123_456, 80_000])
def test_a_run_that_cannot_fit_is_refused_with_the_number_that_fits(
    limit: int, block_size: int | None, never_compiled: None
) -> None:
    agent = dqn(buffer_size=500)
    with pytest.raises(ValueError, match=r"seeds = 100000 members need .* MiB") as caught:
        train(agent, seeds=100_000, memory_limit=limit, block_size=block_size)
    message = str(caught.value)
    fits = int(re.search(r"at most seeds = (\d+) would fit", message).group(1))
    assert len(re.findall(r"[\d,.]+ MiB", message)) == 4
    assert 0 < fits < 100_000
    sizes = {
        "vary": None,
        "iterations": None,
        "log_points": LOG_POINTS,
        "block_size": block_size,
        "devices": 1,
        "memory_limit": limit,
    }
    assert make_plan(agent, TrainConfig(steps=STEPS, seeds=fits, **sizes)).members == fits
    with pytest.raises(ValueError, match=f"at most seeds = {fits} would fit"):
        make_plan(agent, TrainConfig(steps=STEPS, seeds=fits + 1, **sizes))


def test_not_even_one_member_fits(never_compiled: None) -> None:
    with pytest.raises(ValueError, match="not even one member fits"):
        train(dqn(buffer_size=100_000), seeds=2, memory_limit=10_000)
    # Refused before anything of that length is made.
    with pytest.raises(ValueError, match="members need"):
        train(seeds=4_000_000_000, memory_limit=2**30)


def test_blocks_shrink_before_a_run_is_refused() -> None:
    sizes = {"vary": None, "iterations": None, "log_points": LOG_POINTS, "block_size": None, "devices": 1}
    agent = dqn(buffer_size=2_000)
    roomy = make_plan(agent, TrainConfig(steps=STEPS, seeds=32, memory_limit=2**30, **sizes))
    tight = make_plan(agent, TrainConfig(steps=STEPS, seeds=32, memory_limit=1_200_000, **sizes))
    assert roomy.block_size == 16
    assert 1 < tight.block_size < 16


def test_integer_boxes_are_refused_by_agents_of_real_actions() -> None:
    @jaxrl.pytree
    class Whole(type(jaxrl.make("Pendulum-v1"))):  # type: ignore[misc]
        @property
        def action_space(self) -> jaxrl.Box:
            return jaxrl.Box(0, 10, (2,), np.int32)

    with pytest.raises(ValueError, match=r"PPO needs actions of a floating dtype.*jaxrl\.Discrete"):
        jaxrl.PPO(Whole())


def test_a_leaf_that_is_switched_off_can_t_be_varied() -> None:
    with pytest.raises(ValueError, match=r"vary\['target_kl'\] can't switch on.*target_kl = None: make the agent with"):
        train(ppo(), seeds=2, vary={"target_kl": [0.1, 0.2]})


def test_a_carry_that_is_none_of_the_policy_s_is_named(result: jaxrl.Result) -> None:
    member = jaxrl.train(ppo(memory="gru", memory_size=4, num_envs=4), iterations=1, progress=False).member(0)
    obs = np.zeros(4)
    with pytest.raises(ValueError, match=r"carry is .*, and must be .*: start every episode with"):
        member.act(obs, np.zeros(3))
    with pytest.raises(ValueError, match=r"has memory: action, carry = member\.act"):
        member.policy(obs)
    first, carry = member.act(obs)
    assert int(first) == int(member.act(obs, member.initial_carry())[0])
    member.act(obs, carry)
    with pytest.raises(ValueError, match="carry is "):
        result.member(0).act(obs, carry)
