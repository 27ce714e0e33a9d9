"""DQN against hand-computed numbers, NumPy and rlax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from sample_environments import Corridor, MaskedRandomWalk
from small_runs import run_iterations

import jaxrl
from jaxrl import random_bits
from jaxrl.agents.base import Clock
from jaxrl.replay import Batch


def table_of(agent, values):
    """Parameters of a network without hidden layers whose values are a given table [cells, actions]."""
    params = agent.init(jax.random.key(0)).learner.params
    return jax.tree.map(lambda x: jnp.asarray(values) if x.ndim == 2 else jnp.zeros_like(x), params)


def one_step(reward=1.0, terminated=False, next_mask=None):
    return Batch(
        obs=jnp.asarray([0]),
        mask=None,
        action=jnp.asarray([1]),
        reward=jnp.asarray([reward]),
        next_obs=jnp.asarray([2]),
        next_mask=None if next_mask is None else jnp.asarray([next_mask]),
        discount=jnp.asarray([0.0 if terminated else 0.9]),
    )


ONLINE = [[0.0, 3.0], [0.0, 0.0], [5.0, 4.0], [0.0, 0.0]]
TARGET = [[0.0, 0.0], [0.0, 0.0], [7.0, 9.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("fields", "step", "target"),
    [
        ({"double": False}, {}, 1 + 0.9 * 9),
        ({"double": True}, {}, 1 + 0.9 * 7),
        ({"double": False}, {"terminated": True}, 1),
        ({"double": True}, {"terminated": True}, 1),
        ({"double": False}, {"next_mask": [True, False]}, 1 + 0.9 * 7),
        ({"double": True}, {"next_mask": [False, True]}, 1 + 0.9 * 9),
        ({"double": True}, {"next_mask": [False, False], "terminated": True}, 1),
    ],
)
def test_loss_has_the_target_computed_by_hand(fields, step, target):
    agent = jaxrl.DQN(Corridor(), hidden=(), discount=0.9, **fields)
    loss, _ = agent.loss(table_of(agent, ONLINE), table_of(agent, TARGET), one_step(**step))
    assert loss == pytest.approx(0.5 * (target - 3.0) ** 2)


def test_huber_loss_is_rlax_own():
    agent = jaxrl.DQN(Corridor(), hidden=(), discount=0.9, double=False, huber_delta=2.0)
    loss, _ = agent.loss(table_of(agent, ONLINE), table_of(agent, TARGET), one_step())
    assert loss == pytest.approx(float(rlax.huber_loss(jnp.float32(9.1 - 3.0), 2.0)))
    assert loss == pytest.approx(2.0 * (6.1 - 1.0))


def test_dueling_values_are_centred_advantages_plus_value():
    agent = jaxrl.DQN(jaxrl.make("CartPole-v1"), dueling=True, hidden=(8,))
    params = agent.init(jax.random.key(0)).learner.params
    obs = np.asarray([0.1, -0.2, 0.3, 0.4], np.float32)
    layers = {name: {k: np.asarray(v) for k, v in layer.items()} for name, layer in params.items()}
    hidden = np.maximum(obs @ layers["mlp/~/linear_0"]["w"] + layers["mlp/~/linear_0"]["b"], 0)
    advantages, value = (hidden @ layers[f"head_{i}"]["w"] + layers[f"head_{i}"]["b"] for i in (0, 1))
    result, _ = agent.outputs(params, (), obs[None])
    np.testing.assert_allclose(result[0], value + advantages - advantages.mean(), rtol=1e-5)


def quantile_table(agent, quantiles):
    """`table_of` for quantiles [cells, actions, quantiles]."""
    return table_of(agent, np.reshape(quantiles, (len(quantiles), -1)).astype(np.float32))


@pytest.mark.parametrize(
    ("double", "chosen"),
    [(False, [-30.0, 50.0]), (True, [6.0, 8.0])],
)
def test_quantile_loss_is_rlax_own_with_the_action_of_the_greatest_mean(double, chosen):
    agent = jaxrl.DQN(Corridor(), hidden=(), discount=0.9, double=double, quantiles=2, huber_delta=1.0)
    zero = [[0.0, 0.0], [0.0, 0.0]]
    # Means in cell 2: online 5 and 4, target 7 and 10.
    online = quantile_table(agent, [[[0, 0], [2.0, 4.0]], zero, [[4.0, 6.0], [0.0, 8.0]], zero])
    target = quantile_table(agent, [zero, zero, [[6.0, 8.0], [-30.0, 50.0]], zero])
    loss, errors = agent.loss(online, target, one_step())
    targets = 1 + 0.9 * np.asarray(chosen)
    expected = rlax.quantile_regression_loss(
        jnp.asarray([2.0, 4.0]), jnp.asarray([0.25, 0.75]), jnp.asarray(targets), 1.0
    )
    assert loss == pytest.approx(float(expected), rel=1e-6)
    assert errors[0] == pytest.approx(targets.mean() - 3.0)


def test_dueling_quantiles_have_the_dueling_values_as_means():
    agent = jaxrl.DQN(jaxrl.make("CartPole-v1"), dueling=True, quantiles=3, hidden=(8,))
    params = agent.init(jax.random.key(0)).learner.params
    obs = np.asarray([0.1, -0.2, 0.3, 0.4], np.float32)
    layers = {name: {k: np.asarray(v) for k, v in layer.items()} for name, layer in params.items()}
    hidden = np.maximum(obs @ layers["mlp/~/linear_0"]["w"] + layers["mlp/~/linear_0"]["b"], 0)
    advantages, value = (hidden @ layers[f"head_{i}"]["w"] + layers[f"head_{i}"]["b"] for i in (0, 1))
    advantages = advantages.reshape(2, 3)
    expected = (value + advantages - advantages.mean(0)).mean(-1)
    values, _ = agent.outputs(params, (), obs[None])
    np.testing.assert_allclose(values[0], expected, rtol=1e-5)


def test_replay_holds_true_successors_at_both_kinds_of_end():
    agent = jaxrl.DQN(
        Corridor(cells=3, max_steps=5), buffer_size=400, num_envs=4, learning_starts=10**6, epsilon_decay_steps=1e9
    )
    replay = jax.tree.map(lambda x: np.asarray(x).reshape(400, *x.shape[2:]), run_iterations(agent, 100).replay)
    walked = replay.obs + (replay.action == 1)
    np.testing.assert_array_equal(replay.next_obs, walked)
    np.testing.assert_array_equal(replay.terminated, walked == 3)
    np.testing.assert_array_equal(replay.reward, replay.obs)
    assert replay.terminated.sum() > 20
    # Episodes that were cut off: the same environment's next row begins at cell 0 again, unterminated.
    rows = replay.next_obs.reshape(100, 4)
    cut = (rows[:-1] > 0) & ~replay.terminated.reshape(100, 4)[:-1] & (replay.obs.reshape(100, 4)[1:] == 0)
    assert cut.sum() > 10


def test_learning_starts_and_target_period_are_kept():
    fields = {"hidden": (4,), "batch_size": 4, "buffer_size": 64, "num_envs": 2, "train_every": 2, "tau": 1.0}
    agent = jaxrl.DQN(Corridor(), learning_starts=12, target_period=4, **fields)
    first = jax.tree.leaves(agent.init(jax.random.key(3)).learner.params)[0]
    # Four steps an iteration: learning starts in the third, the target moves in the fifth.
    states = [run_iterations(agent, count).learner for count in range(1, 6)]
    online = [jax.tree.leaves(s.params)[0] for s in states]
    target = [jax.tree.leaves(s.target_params)[0] for s in states]
    assert [bool(jnp.all(w == first)) for w in online] == [True, True, False, False, False]
    assert [bool(jnp.all(w == first)) for w in target] == [True, True, True, True, False]
    np.testing.assert_array_equal(target[4], online[4])


def test_target_moves_by_tau():
    fields = {"hidden": (4,), "batch_size": 4, "buffer_size": 64, "learning_starts": 1}
    agent = jaxrl.DQN(Corridor(), tau=0.25, **fields)
    before = agent.init(jax.random.key(3)).learner
    after = run_iterations(agent, 1).learner
    for old, online, target in zip(
        *map(jax.tree.leaves, (before.params, after.params, after.target_params)), strict=True
    ):
        np.testing.assert_allclose(target, 0.75 * old + 0.25 * online, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_average_reaches_back_over_a_share_of_the_updates(share):
    fields = {"hidden": (4,), "batch_size": 4, "buffer_size": 64, "num_envs": 2, "train_every": 2}
    agent = jaxrl.DQN(Corridor(), learning_starts=12, average_share=share, **fields)
    state = agent.init(jax.random.key(3))
    iterate = jax.jit(agent.iterate)
    history = []
    for i in range(12):
        state, _ = iterate(state, Clock(jnp.int32(i), jnp.int32(12)))
        history.append(np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(state.learner.params)]))
    # Four steps an iteration: the first update is in the third.
    average = history[2]
    for updates, params in enumerate(history[2:], start=1):
        average = average + (params - average) / max(share * updates, 1.0)
    if share == 1.0:
        np.testing.assert_allclose(average, np.mean(history[2:], axis=0), rtol=1e-9)
    result = np.concatenate([np.ravel(x) for x in jax.tree.leaves(agent.params(state))])
    np.testing.assert_allclose(result, average, rtol=1e-5, atol=1e-7)
    assert not np.allclose(result, history[-1], rtol=1e-3)


def test_without_an_average_the_online_network_plays():
    agent = jaxrl.DQN(Corridor(), hidden=(4,), average_share=None, learning_starts=1)
    state = run_iterations(agent, 3)
    assert agent.params(state) is state.learner.params


def test_epsilon_falls_linearly_with_the_environment_steps():
    agent = jaxrl.DQN(
        jaxrl.make("CartPole-v1"), num_envs=1000, buffer_size=1000, epsilon_start=1.0, epsilon_end=0.2,
        epsilon_decay_steps=4000, learning_starts=10**6, hidden=(4,),
    )  # fmt: skip
    state = agent.init(jax.random.key(0))
    iterate = jax.jit(agent.iterate)
    shares = []
    for i in range(6):
        greedy, _, _ = agent.act(state.learner.params, (), state.actors.episodes.obs)
        state, _ = iterate(state, Clock(jnp.int32(i), jnp.int32(6)))
        shares.append(float(jnp.mean(state.replay.action[0] != greedy)))
    # A random action is the greedy one half of the time: the expected share is epsilon / 2.
    np.testing.assert_allclose(shares, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], atol=0.05)


def persistent_actions(epsilon, persistence, steps=60):
    """Actions [steps, 500] of a network that does not learn, whether they were greedy, and where episodes begin."""
    agent = jaxrl.DQN(
        jaxrl.make("MountainCar-v0", max_steps=25), num_envs=500, buffer_size=500 * steps, hidden=(4,),
        epsilon_start=epsilon, epsilon_end=epsilon, learning_starts=10**6, persistence=persistence,
    )  # fmt: skip
    state = run_iterations(agent, steps)
    replay = state.replay
    greedy, _, _ = agent.act(state.learner.params, (), replay.obs.reshape(-1, 2))
    begins = np.arange(steps) % 25 == 0
    return np.asarray(replay.action), np.asarray(replay.action == greedy.reshape(steps, 500)), begins


def test_random_actions_persist_by_their_probability():
    actions, _, begins = persistent_actions(1.0, 0.8)
    same = (actions[1:] == actions[:-1]).mean(axis=1)
    # Repeated, or drawn again out of three; never from one episode to the next. Five standard deviations.
    np.testing.assert_allclose(same[~begins[1:]].mean(), 0.8 + 0.2 / 3, atol=0.015)
    np.testing.assert_allclose(same[begins[1:]].mean(), 1 / 3, atol=0.075)


def test_greedy_actions_do_not_persist():
    _, greedy, _ = persistent_actions(0.0, 0.8)
    assert greedy.all()
    _, greedy, _ = persistent_actions(0.1, 0.8)
    # The share f of explored steps keeps f = 0.8 f + (1 - 0.8 f) * 0.1; a third of them are greedy by chance.
    np.testing.assert_allclose(1 - greedy[10:25].mean(), 0.1 / 0.28 * 2 / 3, atol=0.03)


def test_what_is_forbidden_now_is_not_repeated():
    fields = {"num_envs": 50, "buffer_size": 1000, "learning_starts": 10**6, "epsilon_start": 1.0, "epsilon_end": 1.0}
    agent = jaxrl.DQN(MaskedRandomWalk(), **fields, replay="uniform", persistence=0.9)
    replay = run_iterations(agent, 20).replay
    positive = np.asarray(replay.obs[..., 0] > 0)
    assert len(np.unique(np.asarray(replay.action)[positive])) == 2
    assert not np.intersect1d(np.asarray(replay.action)[positive], np.asarray(replay.action)[~positive]).size


def test_random_actions_are_uniform_over_those_allowed():
    agent = jaxrl.DQN(MaskedRandomWalk(), epsilon_end=1.0)
    params = agent.init(jax.random.key(0)).learner.params
    mask = jnp.asarray([True, False, True, True])
    bits = random_bits.bits(jax.random.key(1), (9000, agent.action_bits))
    actions, _, _ = agent.act(params, (), jnp.zeros((9000, 2)), jnp.tile(mask, (9000, 1)), bits)
    counts = np.bincount(actions, minlength=4)
    assert counts[1] == 0
    # Three equal shares of 9,000 draws: a deviation of 250 is 5.6 standard deviations.
    np.testing.assert_allclose(counts[[0, 2, 3]], 3000, atol=250)


def test_a_buffer_holds_at_least_one_iteration():
    agent = jaxrl.DQN(Corridor(), buffer_size=4, num_envs=4, train_every=2)
    assert agent.init(jax.random.key(0)).replay.action.shape == (2, 4)


def test_kept_state_has_no_replay():
    agent = jaxrl.DQN(Corridor())
    assert agent.final_state(agent.init(jax.random.key(0))).replay is None


@pytest.mark.parametrize("quantiles", [0, 5])
def test_dqn_learns_the_corridor(quantiles):
    # Walking without rest earns 0 + 1 + 2 + 3 = 6 in 4 steps; with discount 0.5, staying is worth less. A
    # return of 6 is reached by chance rarely within 5 steps, and staying forever in cell 3 would earn more
    # if terminations were bootstrapped through.
    agent = jaxrl.DQN(
        Corridor(cells=4, max_steps=5), hidden=(16,), discount=0.5, batch_size=16, buffer_size=1000,
        learning_starts=100, epsilon_decay_steps=500, learning_rate=1e-2, quantiles=quantiles,
    )  # fmt: skip
    values = [
        agent.outputs(p, (), jnp.int32([3]))[0][0] for p in _members(jaxrl.train(agent, 1500, seeds=2, progress=False))
    ]
    # In cell 3: walking earns 3 and ends; staying earns 3 and leaves at least 3 more, at half.
    for value in values:
        assert value[1] == pytest.approx(3.0, abs=0.3)
        assert value[0] > 4.0


def _members(result):
    return [result.member(i).params for i in range(result.members)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_step": 11}, "n_step = 11 must be at most 10, the steps of the episode"),
        ({"n_step": 9, "buffer_size": 16, "num_envs": 2}, "n_step = 9 must be at most 8, the steps of rows of the"),
        ({"priority": "gradient"}, "has no effect on uniform replay: give replay='prioritized'"),
    ],
)
def test_what_does_not_fit_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.DQN(Corridor(), **fields)


@pytest.mark.parametrize("exponent", [-0.1, 1.5])
def test_a_priority_exponent_out_of_range_is_refused(exponent):
    agent = jaxrl.DQN(Corridor(), replay="prioritized", priority_exponent=exponent)
    with pytest.raises(ValueError, match=r"DQN\.priority_exponent = .* must be >= 0 and <= 1"):
        jaxrl.train(agent, 2_000, progress=False)


def test_priorities_of_gradients_are_norms_and_leave_the_gradient_as_it_is():
    fields = {"hidden": (8,), "replay": "prioritized"}
    agent = jaxrl.DQN(Corridor(), priority="gradient", **fields)
    learner = agent.init_learner(jax.random.key(0))
    one = one_step()
    batch = jax.tree.map(lambda x: jnp.concatenate([x, x, x]), one)
    batch = Batch(**{**vars(batch), "action": jnp.asarray([0, 1, 1]), "reward": jnp.asarray([1.0, -2.0, 5.0]),
                     "weight": jnp.asarray([1.0, 0.5, 0.25])})  # fmt: skip
    loss = lambda p, b: agent.loss(p, learner.target_params, b)  # noqa: E731
    mean, norms, gradients = agent.gradients(loss, learner.params, batch)
    plain = jaxrl.DQN(Corridor(), **fields).gradients(loss, learner.params, batch)
    assert mean == pytest.approx(float(plain[0]), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), gradients, plain[2])
    for i in range(3):
        item = jax.tree.map(lambda x, i=i: x[i : i + 1], batch)
        alone = jax.grad(lambda p, b=item: loss(p, Batch(**{**vars(b), "weight": None}))[0])(learner.params)
        norm = np.sqrt(sum(np.sum(np.square(np.asarray(x, np.float64))) for x in jax.tree.leaves(alone)))
        assert norms[i] == pytest.approx(norm, rel=1e-4)
