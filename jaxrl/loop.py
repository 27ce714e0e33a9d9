"""The training loop: pure, and the only one.

One call trains every member of a block from one log point to another, in one compiled
program: a loop over log points, in it a loop over iterations, in it all members side by side. The bounds
are traced, so that other lengths and other places to pause need no new compilation, and pausing
changes no number.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxrl.agents.base import Agent, Clock, Mean
from jaxrl.devices import AXIS, member_keys
from jaxrl.pytree import placeholders, replace_at, with_array_leaves

BASE_SEED = 0
"""The seed that every member's own seed is folded into."""


_NONE = Mean(np.zeros((), np.float32), np.zeros((), np.float32))


def log_point_edges(iterations: int, log_points: int) -> np.ndarray:
    """The first iteration of every log point, and the end: i32[log_points + 1]."""
    return np.asarray([log_point * iterations // log_points for log_point in range(log_points + 1)], np.int32)


def member_axes(agent: Agent, varied: tuple[str, ...]) -> Agent:
    """The agent with 0 in every leaf that is batched over members and None in the others.

    Args:
      agent: the agent.
      varied: paths of the batched leaves, such as "learning_rate" or "env.length".
    """
    paths, treedef = jax.tree_util.tree_flatten_with_path(agent)
    axes = [0 if path_name(path) in varied else None for path, _ in paths]
    with placeholders():
        return jax.tree_util.tree_unflatten(treedef, axes)


def batched_agent(agent: Agent, vary: dict[str, np.ndarray], chosen: np.ndarray) -> Agent:
    """The agent with definite dtypes, and with the chosen members' values `[members, ...]` in its varied leaves."""
    agent = with_array_leaves(agent)
    for path, values in vary.items():
        agent = replace_at(agent, path, values[chosen])
    return agent


def path_name(path: tuple[Any, ...]) -> str:
    """A leaf's place as a dotted path."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


@functools.partial(jax.jit, static_argnames=("varied", "mesh", "impl"))
def init(agent: Agent, seeds: jax.Array, varied: tuple[str, ...], mesh: Mesh, impl: str | None = None) -> Any:
    """The states of a block before training: leaves `[members, ...]`, spread over the mesh.

    Args:
      agent: leaves of shape `[members, ...]` where varied.
      seeds: u32[members]; a member's numbers follow from its seed alone.
      varied: paths of the agent's batched leaves.
      mesh: the devices that share the members.
      impl: the kind of random keys, by the name that JAX gives it.
    """
    axes = member_axes(agent, varied)

    def block(agent: Agent, seeds: jax.Array) -> Any:
        keys = member_keys(jax.random.key(BASE_SEED, impl=impl), seeds)
        return jax.vmap(lambda agent, key: agent.init(key), in_axes=(axes, 0))(agent, keys)

    return over_members(block, mesh, (specs(axes, agent), PartitionSpec(AXIS)))(agent, seeds)


@functools.partial(jax.jit, static_argnames=("varied", "mesh"), donate_argnames=("state", "log"))
def run(
    agent: Agent,
    state: Any,
    log: dict[str, Mean],
    first: jax.Array,
    last: jax.Array,
    edges: jax.Array,
    varied: tuple[str, ...],
    mesh: Mesh,
) -> tuple[Any, dict[str, Mean]]:
    """Trains a block from log point `first` up to, and without, log point `last`.

    Args:
      agent: leaves of shape `[members, ...]` where varied, shared by all members elsewhere.
      state: leaves `[members, ...]`; donated.
      log: leaves f32[members, log_points]; donated.
      first: i32[].
      last: i32[].
      edges: i32[log_points + 1], as by `log_point_edges`.
      varied: paths of the agent's batched leaves.
      mesh: the devices that share the members.

    Returns:
      (state, log) after the log points.
    """
    axes = member_axes(agent, varied)

    def block(agent: Agent, state: Any, log: Any, first: Any, last: Any, edges: Any) -> tuple[Any, Any]:
        def log_point(index: jax.Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            state, log = carry
            state, row = _log_point(agent, axes, state, log, edges[index], edges[index + 1], edges[-1])
            return state, jax.tree.map(lambda whole, part: whole.at[:, index].set(part), log, row)

        return jax.lax.fori_loop(first, last, log_point, (state, log))

    members, shared = PartitionSpec(AXIS), PartitionSpec()
    return over_members(block, mesh, (specs(axes, agent), members, members, shared, shared, shared))(
        agent, state, log, first, last, edges
    )


def _log_point(
    agent: Agent, axes: Agent, state: Any, log: dict[str, Mean], begin: Any, end: Any, iterations: Any
) -> tuple[Any, dict[str, Mean]]:
    """The iterations of one log point: returns the state and the log point's row, leaves f32[members]."""
    iterate = jax.vmap(lambda agent, state, clock: agent.iterate(state, clock), in_axes=(axes, 0, None))

    def iteration(index: jax.Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        state, row = carry
        state, metrics = iterate(agent, state, Clock(index, iterations))
        # An agent need not count what its environment does wrong.
        return state, jax.tree.map(jnp.add, row, {name: metrics.get(name, _NONE) for name in row})

    sums = {name: mean for name, mean in log.items() if name != "diverged"}
    row = jax.tree.map(lambda whole: jnp.zeros(whole.shape[0], whole.dtype), sums)
    state, row = jax.lax.fori_loop(begin, end, iteration, (state, row))
    params = jax.vmap(agent.params)(state)
    diverged = ~all_finite(params)
    return state, row | {"diverged": Mean(diverged.astype(jnp.float32), jnp.ones(diverged.shape, jnp.float32))}


def all_finite(tree: Any) -> jax.Array:
    """Whether all of a member's numbers in leaves `[members, ...]` are finite: bool[members]."""
    leaves = jax.tree.leaves(tree)
    return functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(x), axis=tuple(range(1, x.ndim))) for x in leaves])


def empty_log(agent: Agent, members: int, log_points: int) -> dict[str, Mean]:
    """A log of zeros for a block: one `Mean` a metric, leaves f32[members, log_points].

    Args:
      agent: the agent of one member, or of many (only its structure is looked at).
      members: of the block.
      log_points: rows of the log.
    """

    def zeros() -> np.ndarray:
        return np.zeros((members, log_points), np.float32)

    return {name: Mean(zeros(), zeros()) for name in (*agent.metrics, "diverged")}


def specs(axes: Agent, agent: Agent) -> Any:
    """A partition of the agent's leaves: batched ones over the members, the others everywhere."""
    return jax.tree.map(
        lambda _, axis: PartitionSpec() if axis is None else PartitionSpec(AXIS),
        agent,
        axes,
        is_leaf=lambda x: x is None,
    )


def over_members(body: Any, mesh: Mesh, in_specs: Any) -> Any:
    """`body` on every device of the mesh with its share of the members, without any collective."""
    return jax.shard_map(body, mesh=mesh, in_specs=in_specs, out_specs=PartitionSpec(AXIS), check_vma=False)
