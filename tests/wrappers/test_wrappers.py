"""What wrappers do, by numbers computed by hand; what they forward; and what they refuse."""

import dataclasses

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sample_environments import Corridor, MaskedRandomWalk, Steering

import jaxrl
from jaxrl import pytree, random_bits, static
from jaxrl.actors import start_actors
from jaxrl.environment import name_of, start_episode, step_episode
from jaxrl.envs import CartPole
from jaxrl.rollout import random_rollout
from jaxrl.wrappers import (
    ActionRepeat,
    ClipReward,
    DelayedReward,
    DiscretizeAction,
    FlattenObservation,
    FrameStack,
    ObservationMask,
    PotentialShaping,
    RescaleObservation,
    ScaleReward,
    StickyAction,
    TimeAware,
    TransformObservation,
    TransformReward,
    Wrapper,
    innermost,
    make_wrapper,
)

pytestmark = pytest.mark.usefixtures("fast_compilation")
KEY = jax.random.key(0)


def played(env, actions):
    """Rewards, flags and observations of an episode by those actions, as the engine sees them."""
    episode, rows = start_episode(env, KEY), []
    for number, action in enumerate(actions):
        episode, transition = step_episode(env, episode, jnp.int32(action), jax.random.fold_in(KEY, number))
        rows.append((float(transition.reward), bool(transition.terminated), bool(transition.truncated)))
        if transition.ended:
            break
    return [list(column) for column in zip(*rows, strict=True)]


def height(env, state):
    """A potential for corridors: ten times the cell, per cell of the corridor."""
    return 10.0 * state / env.cells


class TestDelayedReward:
    def test_pays_after_every_k_steps_and_at_a_termination(self):
        # Corridor pays the number of the cell that is left: 0, 1, 2, 3, 4, and ends.
        rewards, terminated, _ = played(DelayedReward(Corridor(cells=5), k=2), [1] * 9)
        assert rewards == [0, 1, 0, 5, 4]
        assert terminated == [False] * 4 + [True]

    def test_pays_where_the_time_limit_ends_the_episode(self):
        rewards, terminated, truncated = played(DelayedReward(Corridor(cells=9, max_steps=5), k=3), [1] * 9)
        assert rewards == [0, 0, 3, 0, 7]
        assert (terminated[-1], truncated[-1]) == (False, True)

    def test_pays_where_action_repeat_around_it_ends_the_episode(self):
        rewards, _, truncated = played(ActionRepeat(DelayedReward(Corridor(cells=9, max_steps=5), k=4), k=2), [1] * 9)
        assert rewards == [0, 6, 4]
        assert truncated == [False, False, True]


class TestActionRepeat:
    def test_stops_at_the_termination(self):
        rewards, terminated, truncated = played(ActionRepeat(Corridor(cells=5, max_steps=9), k=3), [1] * 9)
        assert rewards == [3, 7]
        assert (terminated, truncated) == ([False, True], [False, False])

    def test_has_as_many_steps_inside_as_the_limit_whether_or_not_it_is_divided(self):
        for limit, k, steps in ((10, 5, 2), (10, 4, 3), (7, 7, 1), (3, 7, 1)):
            env = ActionRepeat(Corridor(cells=100, max_steps=limit), k=k)
            assert env.max_steps == steps
            rewards, _, truncated = played(env, [1] * 99)
            assert sum(rewards) == limit * (limit - 1) / 2
            assert truncated == [False] * (steps - 1) + [True]

    def test_draws_anew_for_every_step_inside(self):
        env = ActionRepeat(TransformObservation(Walk(), function=jnp.asarray), k=2)
        state, _ = env.reset(KEY)
        state, step = env.step(state, 0, KEY)
        moves = [float(jax.random.normal(key)) for key in random_bits.split(KEY, 2)]
        np.testing.assert_allclose(step.obs, sum(moves), rtol=1e-6)
        assert moves[0] != moves[1]


@pytree
class Walk(jaxrl.Environment):
    """A normal step in every step."""

    max_steps: int = static(default=10)
    observation_space = jaxrl.Box()
    action_space = jaxrl.Discrete(2)

    def reset(self, key):
        return jnp.float32(0), jnp.float32(0)

    def step(self, state, action, key):
        after = state + jax.random.normal(key)
        return after, jaxrl.TimeStep(after, jnp.float32(0), jnp.bool_(False), jnp.bool_(False))


class TestStickyAction:
    @pytest.mark.parametrize("layers", [1, 2])
    def test_repeats_with_its_probability_and_never_first(self, layers):
        env = Corridor(cells=100, max_steps=2)
        for _ in range(layers):
            env = StickyAction(env, p=0.3)

        def second_is_first(key):
            first_key, second_key = jax.random.split(key)
            state, _ = env.reset(key)
            state, _ = env.step(state, jnp.int32(1), first_key)
            moved = innermost(env, state)[1]
            state, _ = env.step(state, jnp.int32(0), second_key)
            return moved, innermost(env, state)[1] - moved

        moved, repeated = jax.vmap(second_is_first)(jax.random.split(KEY, 10_000))
        assert np.all(moved == 1)
        # Two of them decide independently, by the same key.
        chance = 1 - 0.7**layers
        assert abs(float(repeated.mean()) - chance) < 5 * np.sqrt(chance * (1 - chance) / 10_000)

    def test_takes_the_repeated_action_for_the_last_one(self):
        # With certainty but for the first step, the first action goes on for ever.
        env = StickyAction(Corridor(cells=100), p=np.nextafter(np.float32(1), np.float32(0)))
        rewards, _, _ = played(env, [1] + [0] * 8)
        assert rewards == list(range(9))

    def test_takes_no_action_that_is_forbidden_by_now(self):
        env = StickyAction(MaskedRandomWalk(max_steps=50), p=0.9)

        def play(key):
            _, steps = random_rollout(env, start_actors(env, key, 64), 50, key, lambda step: step.transition)
            return steps

        steps = jax.jit(play)(KEY)
        # A forbidden action earns 100.
        assert float(steps.reward.max()) == 1.0

    def test_its_bits_have_nothing_to_do_with_those_of_the_environment_inside(self):
        keys = random_bits.bits_and_keys(KEY, 7, bits=0, keys=40_000)[1]
        own = [jax.vmap(lambda key, s=s: random_bits.uniform(random_bits.key_bits(key, s)))(keys) for s in range(3)]
        inside = jax.vmap(lambda key: random_bits.uniform(random_bits.bits(key, (2,))))(keys).T
        columns = np.stack([*own, *inside])
        correlations = np.corrcoef(columns) - np.eye(len(columns))
        assert np.abs(correlations).max() < 5 / np.sqrt(len(keys))
        assert np.abs(np.corrcoef(columns > 0.5) - np.eye(len(columns))).max() < 5 / np.sqrt(len(keys))
        for column in own:
            counts = np.histogram(column, bins=100, range=(0, 1))[0]
            chi_squared = np.sum((counts - 400) ** 2 / 400)
            assert chi_squared < 99 + 5 * np.sqrt(2 * 99)

    @pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1", "PlaneStrike-v0"])
    def test_takes_no_pass_of_the_generator(self, name):
        def passes(env):
            state, _ = jax.eval_shape(env.reset, KEY)
            return str(jax.make_jaxpr(env.step)(state, jnp.int32(0), KEY)).count("threefry2x32")

        env = jaxrl.make(name)
        assert passes(StickyAction(StickyAction(env))) == passes(env) == (name == "FrozenLake-v1")

    def test_keys_made_by_hand_serve_too(self):
        drawn = jax.vmap(lambda seed: random_bits.uniform(random_bits.key_bits(jax.random.key(seed), 0)))
        values = np.asarray(drawn(jnp.arange(4_000)))
        assert abs(values.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 4_000)
        assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 5 / np.sqrt(4_000)


class TestPotentialShaping:
    def test_adds_the_discounted_difference_and_nothing_for_where_it_terminates(self):
        env = PotentialShaping(Corridor(cells=2), potential=height, discount=0.5)
        rewards, terminated, _ = played(env, [0, 1, 1])
        # Potentials 0, 0, 5, and 0 in place of 10: 0.5 * 0 - 0, 0.5 * 5 - 0, 1 + 0 - 5.
        assert rewards == [0.0, 2.5, -4.0]
        assert terminated == [False, False, True]

    def test_takes_the_true_potential_where_the_time_limit_cuts_off(self):
        env = PotentialShaping(Corridor(cells=2, max_steps=1), potential=height, discount=0.5)
        rewards, terminated, truncated = played(env, [1])
        assert (rewards, terminated, truncated) == ([2.5], [False], [True])

    def test_gets_the_innermost_state_through_other_wrappers(self):
        bare = PotentialShaping(Corridor(cells=3), potential=height, discount=0.9)
        deep = PotentialShaping(
            TimeAware(FrameStack(FlattenObservation(StickyAction(Corridor(cells=3), p=0.0)), k=2)),
            potential=height,
            discount=0.9,
        )
        assert played(bare, [1, 1, 1]) == played(deep, [1, 1, 1])

    def test_says_where_the_discount_is_nobodys(self):
        env = PotentialShaping(Corridor(), potential=height)
        with pytest.raises(ValueError, match=r"PotentialShaping.discount = None is the agent's.*discount=0.99"):
            env.step(env.reset(KEY)[0], 1, KEY)


def test_observations():
    walk = Corridor(cells=2, max_steps=4)
    stack = FrameStack(FlattenObservation(walk), k=2)
    state, obs = stack.reset(KEY)
    np.testing.assert_array_equal(obs, [[1, 0, 0], [1, 0, 0]])
    _, step = stack.step(state, jnp.int32(1), KEY)
    np.testing.assert_array_equal(step.obs, [[1, 0, 0], [0, 1, 0]])
    timed = TimeAware(stack)
    state, obs = timed.reset(KEY)
    np.testing.assert_array_equal(obs, [1, 0, 0, 1, 0, 0, 0])
    for share in (0.25, 0.5, 0.75, 1.0):
        state, step = timed.step(state, jnp.int32(0), KEY)
        assert float(step.obs[-1]) == share
    rescaled = RescaleObservation(Steering(), low=0.0, high=4.0)
    _, step = rescaled.step(jnp.float32([0.25]), jnp.float32([0.25]), KEY)
    np.testing.assert_allclose(step.obs, [3.0])
    # Which of one bit is asked for is always 0.
    _, obs = RescaleObservation(jaxrl.make("MemoryChain-v0"), low=2.0, high=4.0).reset(KEY)
    assert obs[:2].tolist() == [4.0, 2.0]


@pytree
class Structured(Steering):
    """Observations of all kinds of arrays at once, drawn anew in every step; pairs of actions."""

    @property
    def observation_space(self):
        parts = {"a": jaxrl.Discrete(3), "b": jaxrl.Box(-2.0, 2.0, (2, 2)), "c": jaxrl.MultiDiscrete((2, 3))}
        return jaxrl.Dict({**parts, "d": jaxrl.Tuple((jaxrl.Box(0.0, 9.0), jaxrl.Discrete(2)))})

    @property
    def action_space(self):
        return jaxrl.MultiDiscrete((2, 3))

    def reset(self, key):
        return jnp.zeros((2,), jnp.int32), self.observation_space.sample(key)

    def step(self, state, action, key):
        return action, jaxrl.TimeStep(self.observation_space.sample(key), jnp.float32(0), jnp.bool_(False))


def test_observations_of_several_arrays_become_vectors_as_gymnasiums():
    spaces = gymnasium.spaces
    theirs = {"a": spaces.Discrete(3), "b": spaces.Box(-2, 2, (2, 2)), "c": spaces.MultiDiscrete([2, 3])}
    theirs = spaces.Dict({**theirs, "d": spaces.Tuple((spaces.Box(0, 9, ()), spaces.Discrete(2)))})
    inner, env = Structured(), FlattenObservation(Structured())
    space = env.observation_space
    flat = spaces.flatten_space(theirs)
    np.testing.assert_array_equal([space.low, space.high], [flat.low, flat.high])
    for key in jax.random.split(KEY, 5):
        (_, obs), (_, vector) = inner.reset(key), env.reset(key)
        np.testing.assert_allclose(vector, spaces.flatten(theirs, jax.device_get(obs)), rtol=1e-6)
    assert env.observed_mask(vector) is None
    with pytest.raises(TypeError, match=r"FrameStack can't wrap Structured: it needs Box .*FlattenObservation first"):
        FrameStack(Structured())
    first = TransformObservation(Structured(), function=lambda obs: obs["b"][0])
    assert first.observation_space.shape == (2,)


def test_several_actions_at_once_stick_together():
    env = StickyAction(FlattenObservation(Structured()), p=np.nextafter(np.float32(1), np.float32(0)))
    state, _ = env.reset(KEY)
    for action in ([1, 2], [0, 1], [0, 0]):
        state, _ = env.step(state, jnp.int32(action), KEY)
        assert state.inner.tolist() == [1, 2]


def test_discrete_actions_of_several_dimensions_count_as_gymnasiums():
    @pytree
    class Plane(Steering):
        @property
        def action_space(self):
            return jaxrl.Box(jnp.float32([-1, 0]), jnp.float32([1, 6]), (2,))

        def step(self, state, action, key):
            return state, jaxrl.TimeStep(state, jnp.sum(action * jnp.float32([100, 1])), jnp.bool_(False))

    class Theirs(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (1,))
        action_space = gymnasium.spaces.Box(np.float32([-1, 0]), np.float32([1, 6]))

    env, theirs = DiscretizeAction(Plane(), bins=(2, 3)), gymnasium.wrappers.DiscretizeAction(Theirs(), (2, 3))
    assert env.action_space.n == theirs.action_space.n == 6
    for action in range(6):
        _, step = env.step(jnp.zeros(1), jnp.int32(action), KEY)
        np.testing.assert_allclose(step.reward, theirs.action(action) @ [100, 1])


def test_hints_are_forwarded_unless_the_wrapper_changes_what_they_say():
    @pytree
    class Hinted(Corridor):
        solved_return: float | None = static(default=3.0)
        shorter_is_better: bool = static(default=True)
        costly_reset: bool = static(default=True)
        distinct_starts: int | None = static(default=7)

        def render(self, state):
            return np.full((2, 2, 3), state, np.uint8)

    env = Hinted(cells=4, max_steps=10)
    layers = FrameStack(FlattenObservation(DelayedReward(StickyAction(env), k=2)), k=3)
    for name in ("max_steps", "solved_return", "shorter_is_better", "costly_reset", "distinct_starts"):
        assert getattr(layers, name) == getattr(env, name)
    assert layers.unwrapped is env
    state, _ = layers.reset(KEY)
    state, _ = layers.step(state, jnp.int32(1), KEY)
    assert innermost(layers, state) == (env, 1)
    assert layers.render(state).max() == 1
    assert name_of(layers) == "FrameStack(FlattenObservation(DelayedReward(StickyAction(Hinted))))"
    assert ScaleReward(env, scale=2.0).solved_return == 6.0
    assert ActionRepeat(env, k=3).solved_return == 3.0
    for changed in (ClipReward(env), TransformReward(env, function=jnp.tanh), PotentialShaping(env, potential=height)):
        assert changed.solved_return is None
        assert changed.shorter_is_better


def test_masks_are_forwarded_and_read_off_changed_observations():
    env = jaxrl.make("Taxi-v4")
    layers = TimeAware(FrameStack(FlattenObservation(StickyAction(env, p=0.1)), k=2))
    state, obs = layers.reset(KEY)
    for number in range(5):
        mask = env.action_mask(innermost(layers, state)[1])
        np.testing.assert_array_equal(layers.action_mask(state), mask)
        np.testing.assert_array_equal(layers.observed_mask(obs), mask)
        action = layers.random_action(state, jnp.float32(0.1 * number))
        assert mask[action]
        state, step = layers.step(state, action, jax.random.fold_in(KEY, number))
        obs = step.obs
    assert TransformObservation(env, function=jnp.float32).observed_mask(obs) is None


def test_leaves_of_all_layers_vary_by_path():
    agent = jaxrl.QLearning(StickyAction(ClipReward(Corridor(cells=6), high=9.0), p=0.1), num_envs=2, discount=1.0)
    # The axes that stand for the numbers of a batch for a moment are no bounds: 0 would not be below 0.
    vary = {"env.p": [0, 0.9], "env.env.low": [0, 0], "env.env.high": [1, 1], "env.env.env.pay": [1, 1]}
    result = jaxrl.train(agent, iterations=30, seeds=[1, 1], vary=vary, progress=False)
    assert float(result.member(1).agent.env.p) == np.float32(0.9)
    assert float(result.member(1).agent.env.env.high) == 1
    assert not np.array_equal(*jax.tree.leaves(result.params)[0])
    with pytest.raises(ValueError, match=r"vary has no leaf 'env.pay'.*env.env.env.pay"):
        jaxrl.train(agent, iterations=2, seeds=2, vary={"env.pay": [1, 2]})
    with pytest.raises(ValueError, match=r"StickyAction.p = .* must be >= 0 and < 1"):
        jaxrl.train(agent, iterations=2, seeds=2, vary={"env.p": [0.5, 1.5]})
    with pytest.raises(ValueError, match=r"StickyAction.p = 1.5 must be >= 0 and < 1"):
        make_wrapper("StickyAction", Corridor(), p=1.5)


REFUSED = [
    (lambda: FrameStack("CartPole-v1"), r"FrameStack.env = 'CartPole-v1' must be a jaxrl.Environment"),
    (lambda: FrameStack(CartPole), r"FrameStack.env = .* must be a jaxrl.Environment"),
    (lambda: FrameStack(gymnasium.make("CartPole-v1")), r"FrameStack.env = .* must be a jaxrl.Environment"),
    (lambda: FrameStack(Corridor()), r"FrameStack can't wrap Corridor: it needs Box .*FlattenObservation"),
    (lambda: FrameStack(jaxrl.make("CartPole-v1"), k=1), r"FrameStack.k = 1 must be >= 2"),
    (lambda: TimeAware(TransformReward(Corridor(), function=jnp.sin)), r"can't wrap TransformReward\(Corridor\)"),
    (lambda: RescaleObservation(jaxrl.make("CartPole-v1")), r"elements \[1, 3\] .* no finite bounds.*ObservationMask"),
    (lambda: RescaleObservation(Steering(), low=1.0), r"RescaleObservation.low = 1.0 must be less than high = 1.0"),
    (lambda: ObservationMask(Steering(), keep=(1,)), r"ObservationMask.keep = \(1,\) must be distinct .* 0 and 0"),
    (lambda: ObservationMask(Steering(), keep=()), r"ObservationMask.keep = \(\) must be distinct"),
    (lambda: DiscretizeAction(Corridor(), bins=3), r"DiscretizeAction can't wrap Corridor: it needs continuous"),
    (lambda: DiscretizeAction(Steering(), bins=(3, 3)), r"bins = \(3, 3\) must be one number, or one for each"),
    (lambda: DiscretizeAction(Steering(), bins=2**21), r"makes 2,097,152 actions, and may make 1,048,576"),
    (lambda: ActionRepeat(MaskedRandomWalk(), k=2), r"ActionRepeat can't wrap MaskedRandomWalk: it masks actions"),
    (lambda: ClipReward(Corridor(), low=2.0), r"ClipReward.low = 2.0 must be less than high = 1.0"),
    (lambda: TransformReward(Corridor(), function=3), r"TransformReward.function = 3 must be a function"),
    (lambda: TransformReward(Corridor(), function=float), r"float.* can't be traced on Corridor"),
    (lambda: TransformReward(Corridor(), function=jnp.atleast_1d), r"function gives .* must give one number"),
    (lambda: TransformObservation(Corridor(), function=lambda x: (x, x)), r"gives .* must give one array"),
    (lambda: PotentialShaping(Corridor(), potential=lambda env, state: env.hight), r"no attribute 'hight'"),
    (lambda: PotentialShaping(Corridor(), potential=lambda env, state: None), r"gives None, and must give one number"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_what_cannot_be_wrapped_is_said_at_construction(build, message):
    with pytest.raises((TypeError, ValueError), match=message):
        build()


@pytest.mark.parametrize("wrap", [ActionRepeat, ClipReward, lambda env: DelayedReward(env, k=2),
                                  lambda env: TransformReward(env, function=jnp.tanh)])  # fmt: skip
def test_shaped_rewards_are_changed_by_nobody(wrap):
    shaped = StickyAction(PotentialShaping(Corridor(), potential=height))
    with pytest.raises(TypeError, match=r"no longer keep the optimal policy: put PotentialShaping around"):
        wrap(shaped)
    assert isinstance(PotentialShaping(wrap(Corridor()), potential=height), Wrapper)


def test_names():
    assert make_wrapper("FrameStack", Steering(), k=3) == FrameStack(Steering(), k=3)
    with pytest.raises(ValueError, match=r"unknown wrapper 'FrameStak' \(did you mean 'FrameStack'\?\)"):
        make_wrapper("FrameStak", Steering())
    with pytest.raises(ValueError, match=r"FrameStack has no parameter 'kk' \(did you mean 'k'\?\); it has: k"):
        make_wrapper("FrameStack", Steering(), kk=3)
    with pytest.raises(TypeError, match=r"DelayedReward needs k"):
        make_wrapper("DelayedReward", Steering())
    with pytest.raises(ValueError, match=r"'jaxrl.envs:CartPole' is .* must be a jaxrl.pytree subclass"):
        make_wrapper("jaxrl.envs:CartPole", Steering())
    named = make_wrapper("TransformReward", Steering(), function="jax.numpy:tanh")
    assert named.function is jnp.tanh


def test_an_observation_mask_of_cartpole_is_the_environment_without_velocities():
    hidden, masked = jaxrl.make("CartPoleNoVelocity-v1"), ObservationMask(jaxrl.make("CartPole-v1"), keep=(0, 2))
    (state, obs), (other, other_obs) = hidden.reset(KEY), masked.reset(KEY)
    np.testing.assert_array_equal(obs, other_obs)
    np.testing.assert_array_equal(hidden.step(state, 1, KEY)[1].obs, masked.step(other, 1, KEY)[1].obs)
    for bound in ("low", "high"):
        np.testing.assert_array_equal(*(getattr(env.observation_space, bound) for env in (hidden, masked)))
    assert dataclasses.replace(masked, keep=(1,)).observation_space.shape == (1,)
