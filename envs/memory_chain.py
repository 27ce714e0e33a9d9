"""Memory chain: say at the end what was shown at the beginning.

Osband et al., "Behaviour Suite for Reinforcement Learning", 2020: step by step the `memory_len` (one bit) and
`memory_size` (many bits) tasks of bsuite.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.environment import Environment, TimeStep
from jaxrl.pytree import leaf, pytree, static
from jaxrl.rendering import picture
from jaxrl.spaces import Box, Discrete

_WIDTH, _HEIGHT, _MARGIN, _LINE = 600, 200, 40, 135
_PAPER, _INK, _SHADE, _TEXT = (250, 250, 247), (52, 64, 84), (226, 229, 233), (158, 166, 178)
_ZERO, _ONE, _ASKED = (71, 101, 150), (226, 138, 67), (112, 168, 122)


@pytree
class MemoryChainState:
    """One episode.

    Attributes:
      context: i32[num_bits], the bits that were drawn, 0 or 1.
      query: i32[], the index of the bit that is asked for.
      steps: i32[], the steps taken.
    """

    context: jax.Array
    query: jax.Array
    steps: jax.Array


@pytree
class MemoryChain(Environment):
    """Answer, in the last step, with the bit of the context that is asked for; all other actions do nothing.

    Observation: f32[2 + num_bits]: the fraction of the time that is left; which bit is asked for, shown just before
    the last action, else 0; and the context, -1 and 1, shown at the beginning, else 0. An episode always has
    `length` + 1 steps, and only the last one is rewarded: then it terminates.

    As in bsuite, the first observation is shown twice, after the reset and after the first step. The last answer is
    given `length` - 1 steps after the context was last seen: a chain of length 1 needs no memory. What differs from
    bsuite: observations have no leading axis of one.
    """

    right_reward: float = leaf(default=1.0)
    """What the right answer earns."""
    wrong_reward: float = leaf(default=-1.0)
    """What the wrong answer earns."""
    length: int = static(default=10, minimum=1)
    """Length of the chain, bsuite's `memory_length`."""
    num_bits: int = static(default=1, minimum=1)
    """Bits of the context."""
    solved_return: float | None = static(default=0.95)
    """Return from which on the task counts as solved: more than 39 right answers in 40."""

    @property
    def max_steps(self) -> int:  # type: ignore[override]
        """Steps of every episode."""
        return self.length + 1

    @property
    def observation_space(self) -> Box:
        """f32[2 + num_bits], the time between 0 and 1, the index of the bit, the bits between -1 and 1."""
        low = np.array([0, 0, *[-1] * self.num_bits], np.float32)
        high = np.array([1, self.num_bits - 1, *[1] * self.num_bits], np.float32)
        return Box(jnp.asarray(low), jnp.asarray(high), (2 + self.num_bits,), jnp.float32)

    @property
    def action_space(self) -> Discrete:
        """The bit that is answered."""
        return Discrete(2)

    def reset(self, key: jax.Array) -> tuple[MemoryChainState, jax.Array]:
        """Draws the bits, and which one is asked for, uniformly."""
        drawn = random_bits.bits(key, (self.num_bits + 1,))
        context = (drawn[1:] >> 31).astype(jnp.int32)
        state = MemoryChainState(context, random_bits.randint(self.num_bits, drawn[0]), jnp.zeros((), jnp.int32))
        return state, self._observe(state)

    def step(self, state: MemoryChainState, action: Any, key: jax.Array) -> tuple[MemoryChainState, TimeStep]:
        """Goes one step on; needs no randomness."""
        last = state.steps >= self.length
        asked = jnp.arange(self.num_bits) == state.query
        right = action == jnp.sum(jnp.where(asked, state.context, 0))
        reward = jnp.where(last, jnp.where(right, self.right_reward, self.wrong_reward), 0.0)
        after = MemoryChainState(state.context, state.query, state.steps + 1)
        return after, TimeStep(self._observe(after), reward.astype(jnp.float32), last, jnp.zeros((), bool))

    def _observe(self, state: MemoryChainState) -> jax.Array:
        # The observation after a step tells of the time before it, as bsuite's does.
        time = jnp.maximum(state.steps - 1, 0)
        left = 1 - time.astype(jnp.float32) / self.length
        query = jnp.where(time == self.length - 1, state.query, 0).astype(jnp.float32)
        context = jnp.where(time == 0, 2 * state.context - 1, 0).astype(jnp.float32)
        return jnp.concatenate([left[None], query[None], context])

    def render(self, state: MemoryChainState) -> np.ndarray:
        """Draws the bits (0 blue, 1 orange; pale while they are not shown) over the time: uint8[200, 600, 3].

        The bit that is asked for is framed in green from when it is asked. The dots are the steps, dark the taken.
        """
        obs, steps = np.asarray(self._observe(state)), int(state.steps)
        asked = int(state.query) if max(steps, 1) >= self.length else None
        shown = bool(obs[2:].any())

        def paint(draw: Any, pixel: int) -> None:
            def disc(x: float, y: float, radius: float, color: tuple[int, int, int]) -> None:
                edges = (x - radius, y - radius, x + radius, y + radius)
                draw.ellipse([pixel * edge for edge in edges], fill=color)

            cell = min(56.0, (_WIDTH - 2 * _MARGIN) / self.num_bits)
            for index, bit in enumerate(np.asarray(state.context)):
                color = _ONE if bit else _ZERO
                pale = tuple((3 * paper + strong) // 4 for paper, strong in zip(_PAPER, color, strict=True))
                x = _WIDTH / 2 + (index - self.num_bits / 2) * cell
                box = [pixel * edge for edge in (x + 0.1 * cell, 60 - 0.4 * cell, x + 0.9 * cell, 60 + 0.4 * cell)]
                frame = _ASKED if index == asked else None
                fill = color if shown else pale
                draw.rounded_rectangle(box, radius=0.15 * cell * pixel, fill=fill, outline=frame, width=4 * pixel)
            gap = (_WIDTH - 2 * _MARGIN) / self.max_steps
            line = (_MARGIN, _LINE - 1, _WIDTH - _MARGIN, _LINE + 1)
            draw.rectangle([pixel * edge for edge in line], fill=_SHADE)
            for step in range(self.max_steps + 1):
                disc(_MARGIN + step * gap, _LINE, min(5.0, 0.35 * gap), _INK if step <= steps else _TEXT)
            disc(_MARGIN + min(steps, self.max_steps) * gap, _LINE, 10, _INK)

        return picture(_WIDTH, _HEIGHT, _PAPER, paint)
