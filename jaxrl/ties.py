"""Leaves of an environment that must be the agent's own, such as the discount of potential-based shaping."""

from typing import Any

import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.arguments import shown
from jaxrl.environment import Environment, name_of
from jaxrl.pytree import get_at, replace_at


def tie_agent(agent: Agent) -> Agent:
    """The agent with its numbers in those leaves that its environment leaves to it, by `Environment.agent_fields`.

    Raises:
      TypeError: the agent has no such field.
      ValueError: the environment has another number there.
    """
    for path, source in _ties(agent).items():
        value, tied = getattr(agent, source), get_at(agent, path)
        if tied is None:
            agent = replace_at(agent, path, value)
        elif not np.array_equal(np.float32(tied), np.float32(value)):
            raise ValueError(
                f"{path} = {shown(tied)} must be the {source} of {type(agent).__name__}, which is {shown(value)}: "
                "leave it out in the environment, so that it is the agent's"
            )
    return agent


def tie_varied(agent: Agent, vary: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values `[members, ...]` by path, with those of the agent's fields for the leaves that are tied to them.

    Raises:
      ValueError: values are given for such a leaf that are not those of the agent's field.
    """
    for path, source in _ties(agent).items():
        if path in vary:
            own = vary.get(source, np.asarray(getattr(agent, source), np.float32))
            if not np.all(vary[path] == own):
                raise ValueError(
                    f"vary[{path!r}] must be the members' {source}: vary {source!r} alone, which varies both"
                )
        if source in vary:
            vary = {**vary, path: vary[source]}
    return dict(sorted(vary.items()))


def _ties(agent: Agent) -> dict[str, str]:
    """The agent's field by the dotted path of each leaf that must equal it."""
    ties: dict[str, str] = {}
    env: Any = agent.env
    path = "env"
    while isinstance(env, Environment):
        for source in env.agent_fields:
            if not hasattr(agent, source):
                raise TypeError(
                    f"{name_of(agent.env)} needs the agent's {source}, and {type(agent).__name__} has no such field"
                )
            ties[f"{path}.{source}"] = source
        path, env = f"{path}.env", getattr(env, "env", None)
    return ties
