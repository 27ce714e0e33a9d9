"""How much memory a run needs, and the blocks that fit it; nothing is allocated or compiled."""

import bisect
import dataclasses
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxrl import loop
from jaxrl.agents.base import Agent
from jaxrl.devices import free_memory, member_mesh

CPU_BLOCK = 16
"""Members a CPU device trains at once: about what stays in its cache."""
USABLE_MEMORY = 0.9
"""Share of the free memory that a run may plan to use."""


def _bytes(shapes: Any) -> int:
    return sum(
        x.size * np.dtype(np.uint64 if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x.dtype).itemsize
        for x in jax.tree.leaves(shapes)
    )


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes that a run needs: of each member of the block under way, and of each member's result."""

    working: int
    kept: int


def memory(agent: Agent, slots: int) -> Memory:
    """Estimates a member's memory from shapes alone; nothing is allocated or compiled."""
    state = jax.eval_shape(lambda key: agent.init(key), jax.random.key(0))
    log = 8 * slots * len(jax.eval_shape(lambda: loop.empty_log(agent, 1, 1)))
    kept = _bytes(jax.eval_shape(agent.kept, state)) + log
    return Memory(working=_bytes(state) + _bytes(agent.scratch()) + log, kept=kept)


def choose_block(
    agent: Agent, members: int, slots: int, wished: int | None, devices: int | None, limit: int | None
) -> tuple[int, Mesh]:
    """Decides how many members are trained at once, and on which devices.

    Args:
      agent: of all members.
      members: of the whole run.
      slots: rows of the log.
      wished: members of a block, or None for what suits the devices.
      devices: how many devices to use, or None for all.
      limit: bytes that may be used, or None for what is free.

    Raises:
      ValueError: the run can't fit.
    """
    mesh = member_mesh(min(members, wished or members), devices)
    need = memory(agent, slots)
    free = int((free_memory(mesh) if limit is None else limit) * USABLE_MEMORY)
    if wished is None:
        suiting = CPU_BLOCK * mesh.size if mesh.devices.flat[0].platform == "cpu" else members
        # The members that fit beside all results, in equal shares for the devices; at least one for each.
        room = max((free - members * need.kept) // need.working // mesh.size, 1) * mesh.size
        block = min(suiting, members, room)
        # As many blocks as that makes, but of even size, so that little of the last one is filling.
        block = -(-members // -(-members // block))
    else:
        block = min(wished, members)
    block = -(-block // mesh.size) * mesh.size

    def least(members: int) -> int:
        """Bytes that a run of so many members needs, in the smallest blocks that there may be."""
        shares = min(mesh.size, members)
        return -(-min(wished or shares, members) // shares) * shares * need.working + members * need.kept

    total = block * need.working + members * need.kept
    if total > free:
        fits = bisect.bisect_right(range(1, members), free, key=least)
        raise ValueError(
            f"seeds = {members} members need {total / 2**20:,.1f} MiB ({need.working / 2**20:,.3f} MiB for each of "
            f"{block} trained at once, {need.kept / 2**20:,.3f} MiB to keep each), and {free / 2**20:,.1f} MiB may be "
            "used: " + (f"at most seeds = {fits} would fit" if fits else "not even one member fits")
        )
    return block, mesh
