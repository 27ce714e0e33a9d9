"""Greedy episodes between rows of the log: how good members are while they are trained.

They are played by a separate compiled program, called between two calls of the training program. So
evaluating changes no number of the training.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxrl.agents.base import Agent, Mean
from jaxrl.arguments import flag, positive
from jaxrl.devices import AXIS
from jaxrl.evaluation import MOST_EPISODES, RESERVED_SEED, evaluation_key, greedy_returns
from jaxrl.loop import all_finite, member_axes, over_members, specs
from jaxrl.pytree import pytree

DEFAULT_EPISODES = 8
"""Default number of episodes of an evaluation."""
COLUMN = "evaluation_return"
"""The log's column of mean greedy returns."""


@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """When and how members are evaluated while they are trained.

    Attributes:
      every: environment steps of one member from evaluation to evaluation.
      episodes: greedy episodes of one member and evaluation.
      keep_best: whether the parameters of every member's best evaluation are kept, to act with.
    """

    every: int
    episodes: int
    keep_best: bool

    def arguments(self) -> dict[str, Any]:
        """As `jaxrl.train` takes them."""
        return {"evaluate_every": self.every, "evaluation_episodes": self.episodes, "keep_best": self.keep_best}

    def due(self, ends: np.ndarray) -> np.ndarray:
        """The log points at whose end to evaluate: those in which a multiple of `every` is reached, and the last one.

        Args:
          ends: i64[log_points], environment steps of one member at the end of every log point.

        Returns:
          bool[log_points].
        """
        due: np.ndarray = np.diff(ends // self.every, prepend=0) > 0
        due[-1] = True
        return due


def checked_evaluation(evaluate_every: Any, evaluation_episodes: Any, keep_best: Any) -> EvaluationPlan | None:
    """What these arguments of `jaxrl.train` mean; None where nothing is to be evaluated.

    Raises:
      TypeError: one of them is of another kind.
      ValueError: a number is not positive, or the best is to be kept where nothing is evaluated.
    """
    episodes = positive("evaluation_episodes", evaluation_episodes, MOST_EPISODES)
    keep_best = flag("keep_best", keep_best)
    if evaluate_every is not None:
        return EvaluationPlan(positive("evaluate_every", evaluate_every), episodes, keep_best)
    if keep_best:
        raise ValueError("keep_best=True needs evaluate_every, the environment steps between two evaluations")
    return None


@pytree
class Best:
    """Every member's best evaluation.

    Attributes:
      score: f32[members], its mean return; -inf before any has counted.
      params: the parameters that were evaluated, [members, ...]; zeros before any has counted.
    """

    score: jax.Array | np.ndarray
    params: Any


@pytree
class Evaluations:
    """What the evaluations of a block have given so far.

    Attributes:
      returns: of the log's column: f32[members, log_points] each.
      best: None where it is not kept.
    """

    returns: Mean
    best: Best | None


def no_evaluations(plan: EvaluationPlan, params: Any, log_points: int) -> Evaluations:
    """What there is before the first evaluation.

    Args:
      plan: of the evaluations.
      params: the parameters to act with, or their shapes: [members, ...].
      log_points: rows of the log.
    """
    members = len(jax.tree.leaves(params)[0])
    best = None
    if plan.keep_best:
        zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), params)
        best = Best(np.full(members, -np.inf, np.float32), zeros)
    return Evaluations(Mean(*(np.zeros((members, log_points), np.float32) for _ in range(2))), best)


def starts_key() -> jax.Array:
    """The key of the episodes of all evaluations: that of no member, in training or in `jaxrl.evaluate`."""
    return jax.random.fold_in(evaluation_key(0), RESERVED_SEED)


@functools.partial(jax.jit, static_argnames=("episodes", "varied", "mesh"), donate_argnames=("evaluations",))
def evaluate_log_point(
    agent: Agent,
    state: Any,
    evaluations: Evaluations,
    log_point: jax.Array,
    key: jax.Array,
    episodes: int,
    varied: tuple[str, ...],
    mesh: Mesh,
) -> Evaluations:
    """Plays greedy episodes with all members of a block; all members begin them with the same keys.

    Args:
      agent: leaves of shape `[members, ...]` where varied, shared by all members elsewhere.
      state: of the members, leaves `[members, ...]`; not donated.
      evaluations: those before; donated.
      log_point: i32[], the log point that has just ended; -1 plays nothing, and only compiles.
      key: of the episodes.
      episodes: of one member.
      varied: paths of the agent's batched leaves.
      mesh: the devices that share the members.

    Returns:
      The evaluations with this one.
    """
    axes = member_axes(agent, varied)

    def block(agent: Agent, params: Any, evaluations: Any, log_point: Any, key: Any) -> Evaluations:
        def play() -> Evaluations:
            # JAX does not compile Threefry for an unbatched key with a batched counter, so every member has a copy.
            keys = jnp.broadcast_to(key, len(jax.tree.leaves(params)[0]))
            returns = jax.vmap(lambda a, p, k: greedy_returns(a, p, k, episodes), in_axes=(axes, 0, 0))(
                agent, params, keys
            )
            return _noted(evaluations, params, returns, log_point)

        return jax.lax.cond(log_point >= 0, play, lambda: evaluations)

    members, shared = PartitionSpec(AXIS), PartitionSpec()
    # Taken out of the state here, so that the program has no other parts of it as arguments.
    params = jax.vmap(agent.params)(state)
    return over_members(block, mesh, (specs(axes, agent), members, members, shared, shared))(
        agent, params, evaluations, log_point, key
    )


def _noted(evaluations: Evaluations, params: Any, returns: jax.Array, log_point: jax.Array) -> Evaluations:
    """The evaluations with another one, of returns f32[members, episodes]."""
    total, count = jnp.sum(returns, axis=1), jnp.full(len(returns), returns.shape[1], jnp.float32)
    log = evaluations.returns
    log = Mean(log.total.at[:, log_point].set(total), log.count.at[:, log_point].set(count))  # type: ignore[union-attr]
    if evaluations.best is None:
        return Evaluations(log, None)
    score, best = total / count, evaluations.best
    better = (score > best.score) & jnp.isfinite(score) & all_finite(params)

    def chosen(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return Evaluations(log, jax.tree.map(chosen, Best(score, params), best))


def params_to_act_with(best: Best, params: Any) -> Any:
    """Every member's best parameters; its latest ones where no evaluation has counted.

    Args:
      best: of a block, NumPy arrays.
      params: the latest, NumPy arrays [members, ...].
    """
    counted = np.asarray(best.score) > -np.inf
    return jax.tree.map(lambda b, p: np.where(counted.reshape(-1, *[1] * (b.ndim - 1)), b, p), best.params, params)
