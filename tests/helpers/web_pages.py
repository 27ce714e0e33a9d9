"""Pages of policies for the tests, and what drives them in a browser."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxrl
from jaxrl.export.javascript import program_of
from jaxrl.export.parity import Subject
from jaxrl.web import page_source

DATA = Path(__file__).parents[1] / "data"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
LUCK = "Math.random = () => 0;"
"""A script with which both planes take the first place, and carts start at -0.05."""


def stored(agent: jaxrl.agents.base.Agent, name: str) -> jaxrl.Member:
    """A member with parameters of `tests/data`."""
    params = {}
    with np.load(DATA / f"{name}.npz") as arrays:
        for path in arrays.files:
            layer, part = path.split(":")
            params.setdefault(layer, {})[part] = arrays[path]
    return jaxrl.Member(agent, 0, 0, params, {"diverged": np.zeros(1, bool)})


def planes() -> jaxrl.Member:
    """A trained policy for Plane Strike, by probabilities."""
    return stored(jaxrl.preset("plane-strike").agent(hidden=(128, 128)), "plane_strike_policy")


def balancer(**physics: Any) -> jaxrl.Member:
    """A trained policy for CartPole, by action values."""
    return stored(jaxrl.DQN(jaxrl.make("CartPole-v1", **physics)), "cartpole_policy_plain")


def written(member: jaxrl.Member, kind: str, path: Path, **about: Any) -> Path:
    """A page that is not compared with the policy first, which takes its time."""
    about = {"seed": 0, "made_with": "jaxrl", **about}
    program = program_of(Subject(member, kind, False))
    path.write_text(page_source(member.agent.env, type(member.agent).__name__, program, about))
    return path


def drawn_for_planes(**fields: Any) -> jaxrl.Member:
    """A policy for Plane Strike by action values, with parameters drawn at random."""
    agent = jaxrl.DQN(jaxrl.make("PlaneStrike-v0", **fields), hidden=(8,))
    shapes = jax.eval_shape(lambda key: agent.params(agent.init(key)), jax.random.key(0))
    generator = np.random.default_rng(0)
    params = jax.tree.map(lambda x: generator.uniform(-1, 1, x.shape).astype(x.dtype), shapes)
    return jaxrl.Member(agent, 0, 0, params, {"diverged": np.zeros(1, bool)})


def opened(tab: Any, path: Path) -> Any:
    """A page in a context of a browser."""
    page = tab.new_page()
    page.goto(path.as_uri())
    return page


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Polls, because the policy of the page's content allows Playwright no `wait_for_function`."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)
