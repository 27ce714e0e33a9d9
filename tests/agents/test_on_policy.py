"""What A2C and PPO share: advantages, partitions, and a loss that sees what the rollout saw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sample_environments import Corridor, MaskedRandomWalk, Steering
from scipy import stats

import jaxrl
from jaxrl import random_bits
from jaxrl.agents import collection
from jaxrl.agents.base import Clock
from jaxrl.agents.collection import Collector, Rows
from jaxrl.agents.minibatches import partitions
from jaxrl.rollout import rollout

CLOCK = Clock(jnp.int32(0), jnp.int32(10))


def rows_of(rewards, values, terminated, truncated, bootstrap):
    """A rollout of one environment from lists; what advantages don't look at is left out."""
    column = lambda x, dtype: jnp.asarray(x, dtype)[:, None]  # noqa: E731
    blank = dict.fromkeys(("obs", "mask", "previous", "reset", "action", "log_prob", "length", "episode_return"))
    return Rows(
        **blank,
        reward=column(rewards, jnp.float32),
        value=column(values, jnp.float32),
        bootstrap=column(bootstrap, jnp.float32),
        terminated=column(terminated, bool),
        truncated=column(truncated, bool),
    )


def test_advantages_stop_at_a_termination_and_go_on_from_the_true_successor_of_a_truncation():
    agent = jaxrl.A2C(Corridor(), discount=0.5, gae_lambda=0.5)
    rows = rows_of(
        rewards=[1.0, 2.0, 4.0, 8.0, 16.0],
        values=[3.0, 5.0, 7.0, 9.0, 11.0],
        terminated=[False, True, False, False, False],
        truncated=[False, False, False, True, False],
        bootstrap=[0.0, 0.0, 0.0, 20.0, 0.0],
    )
    result = agent._advantages(rows, rows.reward, jnp.float32([40.0]))[:, 0]
    # By hand, from the last row: delta = r + 0.5 v' - v, then delta + 0.25 * the next one within an episode.
    last = 16 + 0.5 * 40 - 11
    cut = 8 + 0.5 * 20 - 9
    before_cut = (4 + 0.5 * 9 - 7) + 0.25 * cut
    terminal = 2 - 5
    first = (1 + 0.5 * 5 - 3) + 0.25 * terminal
    np.testing.assert_allclose(result, [first, terminal, before_cut, cut, last], rtol=1e-6)


@pytest.mark.parametrize(("epochs", "rows", "minibatches"), [(1, 12, 3), (3, 24, 4), (2, 8, 8), (2, 6, 1)])
def test_every_row_is_learned_from_once_an_epoch(epochs, rows, minibatches):
    bits = random_bits.bits(jax.random.key(0), (epochs, rows))
    indices = np.asarray(partitions(bits, minibatches)).reshape(epochs, minibatches, rows // minibatches)
    for epoch in indices.reshape(epochs, rows):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(rows))
    if epochs > 1 and minibatches > 1:
        assert not np.array_equal(indices[0], indices[1])


def test_every_row_comes_to_every_minibatch_equally_often():
    indices = np.asarray(partitions(random_bits.bits(jax.random.key(1), (6000, 12)), 4)).reshape(6000, 4, 3)
    for row in (0, 5, 11):
        counts = (indices == row).any(-1).sum(0)
        assert stats.chisquare(counts).pvalue > 1e-3


AGENTS = {
    "discrete": lambda **f: jaxrl.PPO(jaxrl.make("CartPole-v1", max_steps=9), **f),
    "masked": lambda **f: jaxrl.PPO(MaskedRandomWalk(), **f),
    "continuous": lambda **f: jaxrl.PPO(Steering(), **f),
    "wide": lambda **f: jaxrl.PPO(Steering(), initial_std=4.0, **f),
    "memory": lambda **f: jaxrl.PPO(jaxrl.make("CartPole-v1", max_steps=9), memory="gru", memory_size=4, **f),
}


def batch_of(agent, monkeypatch):
    """(parameters, batch) of an agent's second rollout, so that it begins within episodes."""
    seen = []

    def learn(self, params, opt_state, batch, bits, clock):
        seen.append((params, batch))
        return params, opt_state, {}

    monkeypatch.setattr(type(agent), "_learn", learn)
    state = agent.init(jax.random.key(0))
    for index in range(2):
        state, _ = agent.iterate(state, Clock(jnp.int32(index), jnp.int32(10)))
    return seen[-1]


@pytest.mark.parametrize("persistence", [None, 0.7])
@pytest.mark.parametrize("name", AGENTS)
def test_the_ratio_is_one_before_the_first_update(name, persistence, monkeypatch):
    """The loss recomputes the log-probability that the rollout recorded, exploration that persists included."""
    agent = AGENTS[name](num_envs=4, rollout_steps=25, persistence=persistence, hidden=(8,), minibatches=1)
    params, batch = batch_of(agent, monkeypatch)
    # Not the policy's first parameters only: none is near 0.
    assert bool(batch.reset.any() & ~batch.reset.all())
    flat = batch
    clock = Clock(jnp.int32(1), jnp.int32(10))
    _, measured = agent._measured_loss(params, flat, clock)
    assert float(measured["kl"]) == pytest.approx(0, abs=1e-7)
    assert float(measured["clip_fraction"]) == 0
    heads = (
        agent._model.unroll(params, flat.memory, flat.obs, flat.reset)
        if agent.memory != "none"
        else agent._model.step(params, (), flat.obs)[0]
    )
    distribution = agent._model.distribution(params, heads.policy, flat.mask, flat.previous, agent._persistence(clock))
    np.testing.assert_allclose(distribution.log_prob(flat.action), flat.log_prob, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(heads.value, flat.value, rtol=1e-4, atol=2e-5)
    if persistence:
        without = agent._model.distribution(params, heads.policy, flat.mask)
        assert not np.allclose(without.log_prob(flat.action), flat.log_prob, atol=1e-2)


@pytest.mark.parametrize(
    "env", [jaxrl.make("CartPole-v1", max_steps=9), Corridor(max_steps=4)], ids=["box", "discrete"]
)
def test_only_a_truncated_step_bootstraps_and_from_its_true_successor(env, monkeypatch):
    agent = jaxrl.PPO(env, num_envs=4, rollout_steps=25, hidden=(8,), minibatches=1)
    kept = []
    original = Collector._row

    def keep(*arguments):
        kept.append(rollout(*arguments))
        actors, (rows, _) = kept[-1]
        return actors, rows

    monkeypatch.setattr(Collector, "_row", lambda self, step: (original(self, step), step))
    monkeypatch.setattr(collection, "rollout", keep)
    state = agent.init(jax.random.key(0))
    agent.iterate(state, CLOCK)
    rows, steps = kept[0][1]
    cut_off = np.asarray(steps.transition.truncated & ~steps.transition.terminated)
    assert cut_off.any()
    assert not cut_off.all()
    values = jax.vmap(lambda o: agent._model.step(state.params, (), o)[0].value)(steps.transition.next_obs)
    np.testing.assert_allclose(rows.bootstrap, np.where(cut_off, values, 0), rtol=1e-5, atol=1e-6)


def test_actions_are_played_inside_their_bounds_and_learned_from_as_drawn(monkeypatch):
    agent = AGENTS["wide"](num_envs=4, rollout_steps=50, hidden=(8,), minibatches=1)
    played = []
    original = Steering.step

    def step(self, state, action, key):
        jax.debug.callback(lambda a: played.append(float(a[0])), action)
        return original(self, state, action, key)

    monkeypatch.setattr(Steering, "step", step)
    _, batch = batch_of(agent, monkeypatch)
    jax.effects_barrier()
    assert np.abs(played).max() == 1
    assert np.abs(batch.action).max() > 1
    assert np.isfinite(batch.log_prob).all()


def test_masks_are_kept_in_every_row(monkeypatch):
    _, batch = batch_of(AGENTS["masked"](num_envs=4, rollout_steps=50, hidden=(8,), minibatches=1), monkeypatch)
    rows = batch
    assert np.take_along_axis(np.asarray(rows.mask), np.asarray(rows.action)[..., None], -1).all()
    # Two actions of four are allowed: an untrained policy gives each about one half.
    np.testing.assert_allclose(np.exp(rows.log_prob), 0.5, atol=0.25)
