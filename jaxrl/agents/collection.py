"""Rollouts of an actor and a critic: what on-policy agents learn from."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.actors import Actors, any_member
from jaxrl.agents.actor_critic import ActorCritic, Params, Previous
from jaxrl.environment import Environment, Episode
from jaxrl.normalize import Moments
from jaxrl.pytree import pytree
from jaxrl.rollout import Policy, Step, rollout


@pytree
class ActingParams:
    """What acting needs: parameters, and the moments that observations are normalised by (None: they are not)."""

    model: Params
    moments: Moments | None

    def observe(self, obs: Any) -> Any:
        """Observations as the network reads them."""
        return obs if self.moments is None else self.moments.normalize(obs)


@pytree
class Carry:
    """What the exploring policy remembers from step to step; leaves `[envs, ...]`.

    Attributes:
      memory: of the network; () without one.
      previous: how the step before explored; None where exploration does not persist.
    """

    memory: Any
    previous: Previous | None


@pytree
class Rows:
    """A rollout: leaves `[time, envs, ...]`.

    Attributes:
      obs: raw, as the environment gave it.
      mask: the allowed actions, or None.
      previous: how the step before explored; None where exploration does not persist.
      reset: bool, whether an episode begins with the observation.
      action: flat, before clipping to the bounds.
      log_prob: f32, of the action when it was taken.
      value: f32, of the observation.
      bootstrap: f32, the value of the true successor of an episode that was cut off; 0 elsewhere.
      reward, terminated, truncated, length, episode_return, faults: as in `Transition`.
    """

    obs: Any
    mask: Any
    previous: Previous | None
    reset: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    bootstrap: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    length: jax.Array
    episode_return: jax.Array
    faults: dict[str, jax.Array | None] | None = None

    @property
    def ended(self) -> jax.Array:
        """bool[time, envs], whether the episode is over, for either reason."""
        return self.terminated | self.truncated

    def next_values(self, last: jax.Array) -> jax.Array:
        """The values f32[time, envs] of the true successors, of no meaning where the episode terminated.

        Args:
          last: f32[envs], the values of the observations after the rollout.
        """
        following = jnp.concatenate([self.value[1:], last[None]])
        return jnp.where(self.ended, self.bootstrap, following)


@dataclasses.dataclass(frozen=True)
class Collector:
    """Plays rollouts.

    Attributes:
      env: the environment.
      model: the actor and the critic.
      acting: parameters, which stay as they are for a rollout.
      persistence: f32[], how far exploration persists from step to step; None: not at all.
    """

    env: Environment
    model: ActorCritic
    acting: ActingParams
    persistence: jax.Array | None

    def collect(self, actors: Actors, bits: jax.Array, key: jax.Array) -> tuple[Actors, Rows, jax.Array]:
        """Plays a rollout.

        Args:
          actors: the environments; their carry is a `Carry`.
          bits: random bits u32[time, envs, bits of an action].
          key: of the environments' own randomness.

        Returns:
          The environments after the rollout, the rollout, and the values f32[envs] of the observations after it.
        """
        actors, rows = rollout(self.env, actors, self._policy(actors.num_envs), bits, key, self._row)
        after = actors.episodes.obs
        if self.model.values_are_free:
            return actors, rows, self._values(actors.carry.memory, after)
        # All values at once: many small products in the loop cost more than one large one after it.
        obs = jax.tree.map(lambda x, last: jnp.concatenate([x, last[None]]).reshape(-1, *x.shape[2:]), rows.obs, after)
        values = self._values((), obs).reshape(-1, actors.num_envs)
        return actors, dataclasses.replace(rows, value=values[:-1]), values[-1]

    def _values(self, memory: Any, obs: jax.Array) -> jax.Array:
        return self.model.step(self.acting.model, memory, self.acting.observe(obs))[0].value

    def _policy(self, num_envs: int) -> Policy:
        """The exploring policy; its extras are (flat action, log-probability, value, previous)."""
        model, params = self.model, self.acting.model

        def act(carry: Carry, episodes: Episode, bits: jax.Array) -> tuple[Any, Carry, Any]:
            heads, memory = model.step(params, carry.memory, self.acting.observe(episodes.obs))
            distribution = model.distribution(params, heads.policy, episodes.mask, carry.previous, self.persistence)
            action, log_prob = distribution.sample_with_log_prob(bits)
            following = None
            if carry.previous is not None:
                following = model.next_previous(params, heads.policy, action)
            value = heads.value if model.values_are_free else jnp.zeros_like(log_prob)
            extras = (action, log_prob, value, carry.previous)
            return model.shaped(distribution.clip(action)), Carry(memory, following), extras

        return Policy(act, initial_carry(model, num_envs, self.persistence is not None))

    def _row(self, step: Step) -> Rows:
        """What learning needs of a step."""
        played, (action, log_prob, value, previous) = step.transition, step.extras
        cut_off = played.truncated & ~played.terminated
        # Few steps are cut off, and only those need the value of a successor that is not acted from.
        successor = jax.lax.cond(
            any_member(jnp.any(cut_off)),
            lambda: self._values(step.carry.memory, played.next_obs),
            lambda: jnp.zeros_like(value),
        )
        return Rows(
            obs=played.obs,
            mask=played.mask,
            previous=previous,
            reset=step.before.length == 0,
            action=action,
            log_prob=log_prob,
            value=value,
            bootstrap=jnp.where(cut_off, successor, 0),
            reward=played.reward,
            terminated=played.terminated,
            truncated=played.truncated,
            length=played.length,
            episode_return=played.episode_return,
            faults=played.faults,
        )


def initial_carry(model: ActorCritic, num_envs: int, persists: bool) -> Carry:
    """The exploring policy's carry before an episode's first observation: leaves `[num_envs, ...]`."""
    return Carry(model.initial_memory(num_envs), model.initial_previous(num_envs) if persists else None)
