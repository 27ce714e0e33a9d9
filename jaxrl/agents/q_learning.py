"""Q-learning with a table of values, and expected SARSA.

Watkins, "Learning from Delayed Rewards", 1989; Sutton and Barto, "Reinforcement Learning", 2018, sections 6.5 and 6.6.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import lookup, losses, random_bits, schedules
from jaxrl.actors import Actors, start_actors
from jaxrl.agents.base import EPISODE_METRICS, Agent, Clock, Mean, Metrics, episode_metrics, num_actions
from jaxrl.distributions import EpsilonGreedy, masked
from jaxrl.environment import Environment, Episode, Transition
from jaxrl.pytree import leaf, pytree, static
from jaxrl.rollout import Policy, Step, rollout
from jaxrl.spaces import Discrete, is_array_space


@pytree
class QLearningState:
    """State of one member.

    Attributes:
      params: the values of all actions in all states, f32[states, actions].
      actors: the environments, leaves `[num_envs, ...]`.
      key: the member's key; every iteration draws by its own index.
    """

    params: jax.Array
    actors: Actors
    key: jax.Array


@pytree
class QLearning(Agent):
    """Q-learning with a table: the environment's observations must be `Discrete`.

    Every step of all environments is followed by an update. Environments that took the same action in the same state
    move its value once, by the mean of their errors, so that the step size means the same with any number of them.
    """

    env: Environment
    """The environment to learn in."""
    learning_rate: float = leaf(default=0.5, above=0, maximum=1)
    """How far a value moves towards its target, at the start of the run."""
    learning_rate_end_fraction: float = leaf(default=0.01, minimum=0)
    """Share of the step size that is left at the end of the run."""
    discount: float = leaf(default=0.99, minimum=0, maximum=1)
    """Discount of the return per step."""
    epsilon_start: float = leaf(default=1.0, minimum=0, maximum=1)
    """Probability of a random action at the first step."""
    epsilon_end: float = leaf(default=0.05, minimum=0, maximum=1)
    """Probability of a random action after the decay."""
    epsilon_decay_share: float = leaf(default=0.5, above=0, maximum=1)
    """Share of the run over which epsilon falls linearly."""
    initial_value: float = leaf(default=0.0)
    """What the table holds at first; above what can be earned, it makes the agent try everything."""
    num_envs: int = static(default=1, minimum=1)
    """Environments that one member plays at once."""
    rollout_steps: int = static(default=16, minimum=1)
    """Steps of each environment in one iteration; each of them is followed by an update."""
    schedule: str = static(default="linear", choices=tuple(schedules.SHAPES))
    """How the step size falls over the run."""
    expected_sarsa: bool = static(default=False, choices=(False, True))
    """Value successors by what the exploring policy earns there, in place of the best action."""

    action_bits = 1
    output_kinds = ("q-values",)
    metrics = (*EPISODE_METRICS, "loss")

    def check(self) -> None:
        """Checks that there is a state for every observation."""
        space = self.env.observation_space
        if not isinstance(space, Discrete):
            shape = f" of shape {list(space.shape)}" if is_array_space(space) else ""
            raise TypeError(
                f"{type(self).__name__} on {type(self.env).__name__}: a table needs Discrete observations, and these "
                f"are a {type(space).__name__}{shape}: choose jaxrl.DQN, or an environment that "
                "numbers its states"
            )

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one iteration."""
        return self.num_envs * self.rollout_steps

    def init(self, key: jax.Array) -> QLearningState:
        """Fills the table with the initial value, and starts the environments."""
        start_key, run_key = random_bits.split(key, 2)
        space = self.env.observation_space
        assert isinstance(space, Discrete)  # As checked.
        table = jnp.full((space.n, num_actions(self)), self.initial_value, jnp.float32)
        return QLearningState(table, start_actors(self.env, start_key, self.num_envs), run_key)

    def iterate(self, state: QLearningState, clock: Clock) -> tuple[QLearningState, Metrics]:
        """Plays `rollout_steps` steps, with an update of the table after each."""
        # One pass of the random generator for everything that an iteration draws.
        explore = (self.rollout_steps, 1, self.num_envs, self.action_bits)
        drawn, keys = random_bits.bits_and_keys(
            state.key, clock.iteration, bits=math.prod(explore), keys=self.rollout_steps
        )
        epsilon = schedules.linear(self.epsilon_start, self.epsilon_end, clock.fraction / self.epsilon_decay_share)
        rate_end = self.learning_rate * self.learning_rate_end_fraction
        rate = schedules.SHAPES[self.schedule](self.learning_rate, rate_end, clock.fraction)

        def one_step(carry: tuple[jax.Array, Any, Actors], row: tuple[jax.Array, jax.Array]) -> tuple[Any, Any]:
            table, counts, actors = carry
            bits, key = row
            actors, played = rollout(self.env, actors, self._exploring(table, epsilon), bits, key, _transition)
            played = jax.tree.map(lambda x: x[0], played)
            errors = self.errors(table, played, epsilon)
            measured = episode_metrics(played) | {"loss": Mean.of(0.5 * errors**2, jnp.ones_like(errors))}
            return (*self.update(table, counts, played, rate * errors), actors), measured

        carry = (state.params, self.no_counts(state.params), state.actors)
        (table, _, actors), metrics = jax.lax.scan(one_step, carry, (drawn.reshape(explore), keys))
        metrics = jax.tree.map(lambda x: jnp.sum(x, axis=0), metrics)
        steps = Mean(metrics["steps"].total, jnp.ones((), jnp.float32))
        return QLearningState(table, actors, state.key), metrics | {"steps": steps}

    def _exploring(self, table: jax.Array, epsilon: jax.Array) -> Policy:
        def act(carry: Any, episodes: Episode, bits: jax.Array) -> tuple[jax.Array, Any, Any]:
            values = lookup.rows(table, episodes.obs)
            return EpsilonGreedy(values, epsilon, episodes.mask).sample_by_one(bits[:, 0]), carry, ()

        return Policy(act)

    def errors(self, table: jax.Array, played: Transition, epsilon: jax.Array) -> jax.Array:
        """The temporal-difference errors f32[envs] of a step of every environment.

        Args:
          table: f32[states, actions].
          played: leaves `[envs, ...]`.
          epsilon: f32[], of the policy that is valued (expected SARSA).
        """
        following = masked(lookup.rows(table, played.next_obs), played.next_mask)
        value = jnp.max(following, axis=-1)
        if self.expected_sarsa:
            allowed = jnp.ones_like(following) if played.next_mask is None else played.next_mask.astype(jnp.float32)
            mean = jnp.sum(jnp.where(allowed > 0, following, 0), axis=-1) / jnp.maximum(jnp.sum(allowed, axis=-1), 1)
            value = (1 - epsilon) * value + epsilon * mean
        discounts = jnp.where(played.terminated, 0.0, self.discount)
        taken = losses.taken(lookup.rows(table, played.obs), played.action)
        return losses.td_errors(taken, played.reward, discounts, jnp.where(played.terminated, 0.0, value))

    def no_counts(self, table: jax.Array) -> jax.Array | None:
        """What `update` counts in: zeros f32[states * actions]; None where there is one environment."""
        return jnp.zeros(table.size, jnp.float32) if self.num_envs > 1 else None

    def update(self, table: jax.Array, counts: Any, played: Transition, moves: jax.Array) -> tuple[jax.Array, Any]:
        """The table after one step of every environment, and the counts, which are zeros again.

        Args:
          table: f32[states, actions].
          counts: as `no_counts` gives them. Comparing all pairs of environments would cost ten times as much.
          played: leaves `[envs, ...]`.
          moves: f32[envs], step size times error; environments with the same entry move it by their mean.
        """
        entries = played.obs * table.shape[1] + played.action
        if self.num_envs > 1:
            ones = jnp.ones_like(moves)
            counts = lookup.add(counts, entries, ones)
            moves = moves / lookup.rows(counts[:, None], entries)[:, 0]
            counts = lookup.add(counts, entries, -ones)
        return lookup.add(table.reshape(-1), entries, moves).reshape(table.shape), counts

    def act(self, params: Any, carry: Any, obs: Any, mask: Any = None, bits: Any = None) -> tuple[Any, Any, Any]:
        """The actions i32[batch]: epsilon-greedy at `epsilon_end` with bits, greedy without."""
        choice = EpsilonGreedy(lookup.rows(params, obs), self.epsilon_end, mask)
        return choice.mode() if bits is None else choice.sample_by_one(bits[:, 0]), carry, ()

    def outputs(self, params: Any, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """The value of every action: f32[batch, n]."""
        return lookup.rows(params, obs), carry


def _transition(step: Step) -> Transition:
    return step.transition
