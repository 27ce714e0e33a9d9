"""Facts of the compiled training program that its speed rests on, read off XLA's own text; nothing is timed."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import loop
from jaxrl.plan import make_plan
from jaxrl.train_config import TrainConfig
from jaxrl.trainer import whole_template

MEMBERS, CAPACITY = 4, 1000


def compiled(agent):
    vary = {"learning_rate": np.full(MEMBERS, 1e-3)}
    sizes = {"log_points": 10, "block_size": MEMBERS, "devices": 1}
    plan = make_plan(agent, TrainConfig(steps=5_000, seeds=MEMBERS, vary=vary, **sizes))
    state, log, _ = whole_template(plan)
    edges = loop.log_point_edges(plan.iterations, plan.log_points)
    batched = plan.batched_agent(plan.chosen(0))
    first, last = np.int32(0), np.int32(1)
    return loop.run.lower(batched, state, log, first, last, edges, varied=tuple(plan.vary), mesh=plan.mesh).compile()


def lines_in_loops(text):
    """The instructions of all computations but the entry, where donated arguments may be copied once."""
    lines, entry = [], False
    for line in text.splitlines():
        if line and not line.startswith(" "):
            entry = line.startswith("ENTRY")
        elif not entry:
            lines.append(line)
    return lines


def conditionals(text):
    return [line for line in lines_in_loops(text) if " conditional(" in line]


def copies_of_replay(text):
    shape = rf"= f32\[{MEMBERS},{CAPACITY},1,4\]\S* copy\("
    return [line for line in lines_in_loops(text) if re.search(shape, line)]


def dqn(**fields):
    return jaxrl.DQN(jaxrl.make("CartPole-v1"), buffer_size=CAPACITY, **fields)


@jaxrl.pytree
class Careless(jaxrl.DQN):
    """Lets the replay buffer out of a branch."""

    def iterate(self, state, clock):
        state, metrics = super().iterate(state, clock)
        replay = jax.lax.cond(
            clock.iteration % 7 == 0, lambda r: jax.tree.map(jnp.zeros_like, r), lambda r: r, state.replay
        )
        return dataclasses.replace(state, replay=replay), metrics


@pytest.mark.parametrize(("fields", "branches"), [({}, 2), ({"target_period": 5, "tau": 1.0}, 3)])
def test_learning_stays_a_branch_and_the_replay_buffer_is_never_copied(fields, branches):
    """The branches: drawing spare starts, learning, and moving the target network."""
    text = compiled(dqn(**fields)).as_text()
    assert len(conditionals(text)) == branches
    assert copies_of_replay(text) == []


def test_the_checks_see_what_they_are_for():
    text = compiled(Careless(**{f.name: getattr(dqn(), f.name) for f in dataclasses.fields(jaxrl.DQN)})).as_text()
    assert len(conditionals(text)) == 3
    assert copies_of_replay(text)


def test_an_iteration_s_work_does_not_grow_with_the_buffer():
    small, large = (
        compiled(jaxrl.DQN(jaxrl.make("CartPole-v1"), buffer_size=size)).cost_analysis() for size in (1_000, 100_000)
    )
    assert large["flops"] == pytest.approx(small["flops"], rel=0.01)


def test_an_iteration_s_products_are_those_of_the_algorithm():
    """Four batched passes of the network (online on both, target, gradient twice a pass) and one step of acting."""
    batch, widths = 64, [(4, 64), (64, 64), (64, 2)]
    weights = sum(a * b for a, b in widths)
    # Values of obs and of next_obs, online; of next_obs by the target; the gradient to weights and to activations.
    backward = 2 * weights - 4 * 64
    products = 2 * MEMBERS * (3 * batch * weights + batch * backward + weights)
    flops = compiled(dqn(batch_size=batch)).cost_analysis()["flops"]
    assert products < flops < 2.0 * products
