"""Making up for rounded weights by numbers that were not rounded.

Where actions are nearly worth the same, rounding a layer's weights changes decisions. The biases and the
small layers that stay in float can absorb nearly all of that: they are fitted, by least squares, to give the
policy's own outputs on observations that it meets.
"""

from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxrl.agents.base import Agent
from jaxrl.distributions import masked
from jaxrl.export.observations import Played
from jaxrl.pytree import with_array_leaves
from jaxrl.spaces import Discrete

_ITERATIONS = 100
_MOST_FITTED = 3000
_LARGEST_JACOBIAN = 2e7


def tuned(agent: Agent, params: Any, weights: str, rounded: Collection[int], played: Played) -> Any:
    """Parameters with some matrices rounded, and smaller ones fitted to make up for it.

    The fit is that of Levenberg and Marquardt (Marquardt, 1963), which reaches in 100 steps what Adam does not
    in 30,000: there are only some hundred numbers to fit.

    Args:
      agent: the agent.
      params: one member's parameters.
      weights: "float16" or "int8", what the matrices are rounded to.
      rounded: places of the matrices among the leaves of the parameters.
      played: steps `[count, ...]` on which to agree.
    """
    agent = with_array_leaves(agent)
    leaves, structure = jax.tree.flatten(params)
    fixed = [round_to(weights, x) if place in rounded else jnp.asarray(x) for place, x in enumerate(leaves)]
    matter = _influence(agent, params, played)
    fitted = _fitted([x.size if matter[place] and place not in rounded else 0 for place, x in enumerate(leaves)])

    def outputs(values: list[jax.Array], carry: Any, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
        filled = list(fixed)
        for place, value in zip(fitted, values, strict=True):
            filled[place] = value
        return _outputs(agent, jax.tree.unflatten(structure, filled), carry, obs)

    wanted, wanted_carry = jax.jit(jax.vmap(lambda c, o: _outputs(agent, params, c, o)))(played.carry, played.obs)
    numbers = sum(leaves[place].size for place in fitted) * (wanted.shape[1] + wanted_carry.shape[1])
    count = len(wanted)
    rows = np.linspace(0, count - 1, int(min(count, max(64, _LARGEST_JACOBIAN // numbers)))).astype(int)
    of_carry = 1 / (jnp.mean(wanted_carry**2) * wanted_carry.shape[1] + 1e-12)
    weighted_errors, weighed = _judged(agent, wanted, played.mask, rows)
    steps = jax.tree.map(lambda x: jnp.asarray(x[rows]), (played.carry, played.obs, wanted, wanted_carry))

    def errors(values: list[jax.Array], target: Any) -> jax.Array:
        (carry, obs, wanted, wanted_carry), weighed = target
        given, given_carry = outputs(values, carry, obs)
        of_given = weighted_errors(given, wanted, *weighed)
        return jnp.concatenate([of_given, (given_carry - wanted_carry) * jnp.sqrt(of_carry)])

    best = jax.jit(lambda values: _least_squares(errors, values, (steps, weighed)))([fixed[place] for place in fitted])
    for place, value in zip(fitted, best, strict=True):
        fixed[place] = value
    return jax.tree.unflatten(structure, fixed)


def _outputs(agent: Agent, params: Any, carry: Any, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The policy's outputs f32[n] and its next carry f32[m] of one step."""
    values, following = agent.outputs(params, *jax.tree.map(lambda x: x[None], (carry, obs)))
    leaves = [leaf.reshape(-1).astype(jnp.float32) for leaf in jax.tree.leaves(following)]
    return values.reshape(-1), jnp.concatenate([jnp.zeros(0), *leaves])


def _influence(agent: Agent, params: Any, played: Played) -> list[bool]:
    """Whether what the policy gives depends on each leaf of the parameters: not so on those of a value, or counts."""

    def total(params: Any, carry: Any, obs: jax.Array) -> jax.Array:
        values, following = jax.vmap(lambda c, o: _outputs(agent, params, c, o))(carry, obs)
        return jnp.sum(values**2) + jnp.sum(following**2)

    slopes = jax.tree.leaves(jax.jit(jax.grad(total, allow_int=True))(params, played.carry, played.obs))
    return [x.dtype == np.float32 and bool(np.any(np.asarray(x) != 0)) for x in slopes]


def _judged(agent: Agent, wanted: jax.Array, masks: np.ndarray | None, rows: np.ndarray) -> tuple[Any, Any]:
    """The weighted errors of one step, as a function of (outputs, wanted ones, *weights), and the weights of `rows`."""
    if not isinstance(agent.env.action_space, Discrete):
        variances = jnp.broadcast_to(jnp.var(wanted, axis=0) + 1e-12, wanted.shape)
        return lambda given, wanted, variance: (given - wanted) / jnp.sqrt(variance), (variances[rows],)
    allowed = jnp.asarray(np.ones(wanted.shape, bool) if masks is None else masks)[rows]
    return _errors, (allowed, *_weights(wanted[rows], allowed))


def round_to(weights: str, matrix: jax.Array) -> jax.Array:
    """A matrix f32[..., out] on the grid that a file holds: f16, or 8 bits and one scale for each output."""
    if weights == "float16":
        return jnp.asarray(matrix).astype(jnp.float16).astype(jnp.float32)
    greatest = jnp.max(jnp.abs(matrix), axis=tuple(range(matrix.ndim - 1)), keepdims=True)
    scale = jnp.where(greatest > 0, greatest / 127, 1.0)
    return jnp.round(matrix / scale) * scale


def _fitted(sizes: list[int]) -> list[int]:
    """Places of the leaves to fit: the smallest, as many as can be; those of size 0 are not to be."""
    places = [place for place in np.argsort(sizes, kind="stable").tolist() if sizes[place] > 0]
    return sorted(
        place for place, sum_ in zip(places, np.cumsum([sizes[p] for p in places]), strict=True) if sum_ <= _MOST_FITTED
    )


def _weights(wanted: jax.Array, allowed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How much the differences between actions, f32[count], and their mean, f32[count], weigh.

    A difference weighs as it compares with the gap between the two best actions; the mean as it compares with
    the outputs.
    """
    best, second = jnp.moveaxis(jax.lax.top_k(masked(wanted, allowed), 2)[0], -1, 0)
    choice = allowed.sum(axis=-1) > 1
    gaps = jnp.where(choice, best - second, jnp.nan) ** 2
    between = jnp.where(choice, 1 / (gaps + 0.1 * jnp.nanmedian(gaps) + 1e-12), 0.0)
    return between, jnp.full(len(wanted), 1 / (jnp.mean(wanted**2, where=allowed) + 1e-12))


def _errors(
    outputs: jax.Array, wanted: jax.Array, allowed: jax.Array, between: jax.Array, of_mean: jax.Array
) -> jax.Array:
    """Weighted errors f32[n + 1] of one observation's outputs f32[n]: of the differences, and of the mean."""
    error = jnp.where(allowed, outputs - wanted, 0.0)
    count = jnp.maximum(allowed.sum(), 1)
    mean = error.sum() / count
    spread = jnp.where(allowed, error - mean, 0.0) * jnp.sqrt(between / count)
    return jnp.append(spread, mean * jnp.sqrt(of_mean))


def _least_squares(errors: Any, values: list[jax.Array], targets: Any) -> list[jax.Array]:
    """Values that make the squares of `errors(values, target)`, over all targets, smaller."""
    start, restore = ravel_pytree(values)

    def cost(point: jax.Array) -> jax.Array:
        return jnp.sum(jax.vmap(lambda t: errors(restore(point), t))(targets) ** 2)

    def step(_: jax.Array, carry: Any) -> Any:
        point, damping, least = carry

        def row(target: Any) -> Any:
            residuals, back = jax.vjp(lambda p: errors(restore(p), target), point)
            return residuals, jax.vmap(lambda unit: back(unit)[0])(jnp.eye(residuals.size))

        residuals, slopes = jax.vmap(row)(targets)
        residuals, slopes = residuals.reshape(-1), slopes.reshape(-1, point.size)
        squares, slope = slopes.T @ slopes, slopes.T @ residuals
        diagonal = jnp.diag(squares)
        move = jnp.linalg.solve(squares + jnp.diag(damping * diagonal + 1e-12 * jnp.max(diagonal)), slope)
        other = cost(point - move)
        better = other < least  # False for NaN.
        return (
            jnp.where(better, point - move, point),
            jnp.clip(jnp.where(better, damping / 3, damping * 4), 1e-9, 1e9),
            jnp.where(better, other, least),
        )

    best = jax.lax.fori_loop(0, _ITERATIONS, step, (start, jnp.float32(1e-2), cost(start)))[0]
    return restore(best)
