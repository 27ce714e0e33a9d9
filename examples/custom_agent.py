"""A custom algorithm: advantage actor-critic (Mnih et al., 2016), rebuilt on jaxrl's layers.

Every method is written for one member; `jaxrl.train` adds the member axis, the log, the checkpoints and the devices.

    python examples/custom_agent.py
"""

import argparse

import jax
import jax.numpy as jnp
import optax

import jaxrl
from jaxrl import networks, random_bits, returns
from jaxrl.actors import Actors, start_actors
from jaxrl.agents.base import EPISODE_METRICS, Mean, episode_metrics, policy_of
from jaxrl.distributions import categorical
from jaxrl.rollout import rollout


@jaxrl.pytree
class State:
    """What one member carries from iteration to iteration."""

    params: object
    opt_state: object
    actors: Actors
    key: jax.Array


@jaxrl.pytree
class MyA2C(jaxrl.Agent):
    """Advantage actor-critic for discrete actions: one update from every rollout."""

    env: jaxrl.Environment
    learning_rate: float = jaxrl.leaf(default=2e-3, above=0)
    discount: float = jaxrl.leaf(default=0.99, minimum=0, maximum=1)
    num_envs: int = jaxrl.static(default=8, minimum=1)
    rollout_steps: int = jaxrl.static(default=8, minimum=1)
    metrics = (*EPISODE_METRICS, "loss")  # the columns of the log
    steps_per_iteration = property(lambda self: self.num_envs * self.rollout_steps)
    network = property(
        lambda self: networks.actor_critic(self.env.observation_space, (64, 64), self.env.action_space.n)
    )

    def _optimizer(self, rate):
        return optax.chain(optax.clip_by_global_norm(0.5), optax.rmsprop(rate, decay=0.99, eps=1e-5, eps_in_sqrt=False))

    def init(self, key):
        """Draws the parameters, and starts the environments."""
        params_key, start_key, run_key = jax.random.split(key, 3)
        params = self.network.init(params_key, networks.example(self.env.observation_space))
        actors = start_actors(self.env, start_key, self.num_envs)
        return State(params, self._optimizer(0.0).init(params), actors, run_key)

    def iterate(self, state, clock):
        """Plays a rollout, and makes one update from it."""
        bits_key, step_key = jax.random.split(jax.random.fold_in(state.key, clock.iteration))
        bits = random_bits.bits(bits_key, (self.rollout_steps, self.num_envs, self.action_bits))
        policy = policy_of(self, state.params, self.num_envs)
        actors, played = rollout(self.env, state.actors, policy, bits, step_key, lambda step: step.transition)
        loss, gradients = jax.value_and_grad(self._loss)(state.params, played)
        rate = self.learning_rate * (1 - clock.fraction)  # It falls linearly to 0 over the run.
        updates, opt_state = self._optimizer(rate).update(gradients, state.opt_state)
        params = optax.apply_updates(state.params, updates)
        metrics = {**episode_metrics(played), "loss": Mean(loss, jnp.ones(()))}
        return State(params, opt_state, actors, state.key), metrics

    def _loss(self, params, played):  # leaves of `played` are [time, envs, ...]
        logits, value = jax.vmap(self.network.apply, (None, 0))(params, played.obs)
        next_value = jax.vmap(self.network.apply, (None, 0))(params, played.next_obs)[1]  # of the true successors
        ends = (played.terminated, played.truncated)
        target = returns.lambda_returns(played.reward, next_value, *ends, discount=self.discount, lambda_=1.0)
        advantage = jax.lax.stop_gradient(target - value)
        log_prob = categorical(logits, played.mask).log_prob(played.action)
        return jnp.mean(0.5 * optax.l2_loss(value, target) - log_prob * advantage)

    def act(self, params, carry, obs, mask=None, bits=None):
        """Samples by random bits; without them the likeliest action, as in evaluation."""
        distribution = categorical(self.network.apply(params, obs)[0], mask)
        return distribution.mode() if bits is None else distribution.sample(bits), carry, ()

    def outputs(self, params, carry, obs):
        """The logits, for exports."""
        return self.network.apply(params, obs)[0], carry


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=500_000, help="environment steps of every member")
    parser.add_argument("--seeds", type=int, default=16)
    options = parser.parse_args()
    jaxrl.use_cpu_cores()
    result = jaxrl.train(MyA2C(jaxrl.make("CartPole-v1")), **vars(options), progress=False)
    solved = (result.returns.mean(axis=1) >= 475).sum()
    print(f"{solved} of {result.members} seeds solved; mean greedy return {result.returns.mean():.1f}")
