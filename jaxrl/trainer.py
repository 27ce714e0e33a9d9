"""Training blocks of members, from log point to log point, with checkpoints and a progress bar."""

import contextlib
import functools
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxrl import loop
from jaxrl.agents.base import Agent, Mean
from jaxrl.blocks import Block, host
from jaxrl.devices import AXIS
from jaxrl.periodic_evaluation import (
    COLUMN,
    Evaluations,
    evaluate_log_point,
    no_evaluations,
    params_to_act_with,
    starts_key,
)
from jaxrl.plan import Plan
from jaxrl.progress import Bar

PAUSE_SECONDS = 0.5
"""How long the devices run between two looks at the host: the bar, Ctrl-C, checkpoints."""


class Store(Protocol):
    """Where blocks are kept, and go on from; such as a `RunDirectory`."""

    def load_checkpoint(self, block: int, template: Any) -> tuple[Any, dict[str, Any]] | None:
        """The whole state of a block, its log and evaluations, and its note; None where it begins from the start."""

    def save_checkpoint(self, tree: Any, note: dict[str, Any]) -> None:
        """Keeps the whole state of a block, its log and its evaluations."""

    def save_block(self, block: int, tree: Any, note: dict[str, Any]) -> None:
        """Keeps what outlives the run of a finished block."""


class _UnderWay:
    """A block on the devices, which are busy with one call at a time.

    Attributes:
      state: whole, `[members, ...]`.
      log: of training alone.
      evaluations: None where nothing is evaluated.
      note: of `Block`.
    """

    def __init__(self, plan: Plan, agent: Agent, tree: Any, note: dict[str, Any]) -> None:
        """Takes the block's batched agent, and (state, log, evaluations) and the note as they come from a store."""
        sharding = NamedSharding(plan.mesh, PartitionSpec(AXIS))
        self.state, self.log, self.evaluations = jax.device_put(tree, sharding)
        self.note = {"evaluation_seconds": 0.0, **note}
        members = {"varied": tuple(plan.vary), "mesh": plan.mesh}
        edges = loop.log_point_edges(plan.iterations, plan.log_points)
        self._run = functools.partial(loop.run, agent, edges=edges, **members)
        if plan.evaluation is not None:
            episodes = plan.evaluation.episodes
            self._play = functools.partial(evaluate_log_point, agent, key=starts_key(), episodes=episodes, **members)

    @property
    def log_point(self) -> int:
        """The log points that are done."""
        return self.note["log_point"]

    @property
    def tree(self) -> Any:
        """What a checkpoint holds."""
        return self.state, self.log, self.evaluations

    def compile(self) -> None:
        """Makes the programs run on nothing, so that compiling and running are timed apart."""
        self.train(self.log_point)
        if self.evaluations is not None:
            self._evaluate(-1)

    def train(self, last: int) -> float:
        """Trains up to, and without, log point `last`: the seconds that it took."""
        begin = time.monotonic()
        self.state, self.log = self._run(self.state, self.log, np.int32(self.log_point), np.int32(last))
        jax.block_until_ready(self.log)
        self.note["log_point"] = last
        return time.monotonic() - begin

    def evaluate(self) -> None:
        """Evaluates the members at the end of the log point that was trained last."""
        begin = time.monotonic()
        self._evaluate(self.log_point - 1)
        self.note["evaluation_seconds"] += time.monotonic() - begin

    def _evaluate(self, log_point: int) -> None:
        self.evaluations = jax.block_until_ready(self._play(self.state, self.evaluations, np.int32(log_point)))


class Trainer:
    """Trains the blocks of a plan, with one progress bar and checkpoints."""

    def __init__(
        self,
        plan: Plan,
        store: Store | None,
        checkpoint_seconds: float,
        bar: Bar,
        interrupted: Callable[[], bool],
        until: int | None = None,
    ) -> None:
        """Prepares to train blocks up to, and without, the log point `until`, by default to the end."""
        self._plan = plan
        self._store = store
        self._checkpoint_seconds = checkpoint_seconds
        self._interrupted = interrupted
        self._until = plan.log_points if until is None else until
        self._evaluated = plan.evaluated
        self._last_checkpoint = time.monotonic()
        self._log_points_a_call = 1
        self._bar = bar

    def train_block(self, index: int) -> Block:
        """Trains a block, from its checkpoint where there is one, to its end or to an interruption."""
        begin = time.monotonic()
        with no_garbage_collection():
            block = self._begin(index)
            block.compile()
        block.note["compile_seconds"] += time.monotonic() - begin
        while block.log_point < self._until and not self._interrupted():
            first, last = block.log_point, self._next_pause(block.log_point)
            seconds = block.train(last)
            block.note["seconds"] += seconds
            # At most twice as many as before: log points before learning starts are much shorter than later ones.
            fitting = int((last - first) * PAUSE_SECONDS / max(seconds, 1e-6))
            self._log_points_a_call = max(1, min(fitting, 2 * (last - first)))
            if self._evaluated[last - 1]:
                block.evaluate()
            self._show(block.log, first, last, seconds)
            if last < self._until and time.monotonic() - self._last_checkpoint >= self._checkpoint_seconds:
                self._checkpoint(block)
        return self._end(block)

    def _next_pause(self, log_point: int) -> int:
        """The end of the next call of the training program: no later than the next evaluation."""
        last = min(log_point + self._log_points_a_call, self._until)
        due = np.flatnonzero(self._evaluated[log_point:last])
        return log_point + int(due[0]) + 1 if due.size else last

    def _begin(self, index: int) -> _UnderWay:
        plan = self._plan
        agent = plan.batched_agent(plan.chosen(index))
        init = _init(plan, index, agent)
        # Without a store or evaluations nobody asks for the shapes, which would take a moment.
        beginning = None if self._store is None and plan.evaluation is None else _template(plan, init)
        stored = None
        if self._store is not None:
            stored = self._store.load_checkpoint(index, beginning)
        if stored is None:
            evaluations = None if beginning is None else beginning[2]
            note = {"block": index, "log_point": 0, "seconds": 0.0, "compile_seconds": 0.0}
            return _UnderWay(plan, agent, (init(), _empty_log(plan), evaluations), note)
        self._bar.skip(stored[1]["log_point"])
        return _UnderWay(plan, agent, *stored)

    def _show(self, log: dict[str, Mean], first: int, last: int, seconds: float) -> None:
        if not self._bar.drawn:
            return
        sums = (log["steps"].total, log["episode_return"].total, log["episode_return"].count)
        steps, total, count = (float(np.sum(np.asarray(x)[:, first:last], dtype=float)) for x in sums)
        self._bar.advance(last - first, steps, seconds, total / count if count else float("nan"))

    def _checkpoint(self, block: _UnderWay) -> None:
        if self._store is not None:
            self._store.save_checkpoint(block.tree, block.note)
        self._last_checkpoint = time.monotonic()

    def _end(self, block: _UnderWay) -> Block:
        agent = self._plan.agent
        state, log, evaluations = host((agent.final_state(block.state), block.log, block.evaluations))
        params = None
        if evaluations is not None:
            log |= {COLUMN: evaluations.returns}
            if evaluations.best is not None:
                params = params_to_act_with(evaluations.best, agent.params(state))
        if self._store is not None:
            if block.log_point == self._plan.log_points:
                self._store.save_block(block.note["block"], (state, log, params), block.note)
            else:
                self._checkpoint(block)
        return Block(block.note["block"], state, log, params, block.note)


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Holds Python's garbage collector, which takes a third of the time of tracing a program and finds little."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def whole_template(plan: Plan) -> tuple[Any, dict[str, Mean], Evaluations | None]:
    """The shapes of a block under way: (state, log, evaluations)."""
    return _template(plan, _init(plan, 0, plan.batched_agent(plan.chosen(0))))


def final_template(plan: Plan) -> Any:
    """The shapes of what a finished block has on disk: (state, log, best parameters)."""
    state, log, evaluations = whole_template(plan)
    params = None
    if evaluations is not None:
        log |= {COLUMN: evaluations.returns}
        params = None if evaluations.best is None else evaluations.best.params
    return plan.agent.final_state(state), log, params


def _init(plan: Plan, index: int, agent: Agent) -> Callable[[], Any]:
    """What makes the states of a block's members before training, of the block's batched agent."""
    seeds = plan.seeds[plan.chosen(index)].astype(np.uint32)
    # Named here, because the default may change while compiled programs stay as they are.
    impl = jax.config.jax_default_prng_impl  # type: ignore[attr-defined]
    return functools.partial(loop.init, agent, seeds, varied=tuple(plan.vary), mesh=plan.mesh, impl=impl)


def _template(plan: Plan, init: Callable[[], Any]) -> tuple[Any, dict[str, Mean], Evaluations | None]:
    state = jax.eval_shape(init)
    evaluations = None
    if plan.evaluation is not None:
        # Members have the axis that the agent's methods do not see.
        params = jax.eval_shape(jax.vmap(plan.agent.params), state)
        evaluations = no_evaluations(plan.evaluation, params, plan.log_points)
    return state, _empty_log(plan), evaluations


def _empty_log(plan: Plan) -> dict[str, Mean]:
    return loop.empty_log(plan.agent, plan.block_size, plan.log_points)
