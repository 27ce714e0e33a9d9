"""Pages on which a person plays with a policy: one HTML file each, which needs no network and no server."""

import dataclasses
import html
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import registry
from jaxrl.environment import Environment, name_of
from jaxrl.pytree import with_array_leaves
from jaxrl.web.program import Program
from jaxrl.web.source import filled, literal, packaged, program_source
from jaxrl.web.tracing import traced

PAGE_MARK = "<!doctype html>\n<!-- A page of jaxrl"
"""What a page begins with."""


Function: TypeAlias = tuple[Callable[..., dict[str, Any]], dict[str, Any]]
"""What `traced` takes: a function that gives arrays by name, and the shape and dtype of its inputs by name."""


@dataclasses.dataclass(frozen=True)
class Page:
    """A page for one environment.

    Attributes:
      title: of the page.
      files: the name of its parts in this package, which end in .html, .css and .js.
      parameters: fields of the environment that people change while they play.
      setting: what the page knows of an environment, as plain data.
      functions: those of the environment that the page calls beside its step, by name.
    """

    title: str
    files: str
    parameters: tuple[str, ...]
    setting: Callable[[Any], dict[str, Any]]
    functions: Callable[[Any], dict[str, Function]] = lambda env: {}


def _setting_of_cartpole(env: Any) -> dict[str, Any]:
    names = ("length", "gravity", "tau", "x_limit", "theta_limit", "max_steps")
    return {name: np.asarray(getattr(env, name)).item() for name in names}


def _setting_of_plane_strike(env: Any) -> dict[str, Any]:
    cells = [np.flatnonzero(plane).tolist() for plane in env.placements]
    return {"size": env.size, "placements": cells, "chances": env.placement_probabilities.tolist()}


def _functions_of_plane_strike(env: Any) -> dict[str, Function]:
    def begin(placement: jax.Array) -> dict[str, jax.Array]:
        state, obs = env.begin(placement)
        return {**_leaves(state), "observation": obs}

    return {"begin": (begin, {"placement": jax.ShapeDtypeStruct((), jnp.int32)})}


PAGES = {
    "CartPole-v1": Page("CartPole", "cartpole", ("length", "gravity"), _setting_of_cartpole),
    "PlaneStrike-v0": Page("Plane Strike", "plane_strike", (), _setting_of_plane_strike, _functions_of_plane_strike),
}
"""The pages by the registered names of their environments."""


def require_page(env: Environment) -> Page:
    """The page for an environment.

    Raises:
      ValueError: there is none.
    """
    for name, page in PAGES.items():
        if type(env) is type(registry.make(name)):
            return page
    raise ValueError(
        f"a page is for a policy of {' or '.join(PAGES)}, without wrappers, and this one plays {name_of(env)}: export "
        "the policy alone by jaxrl.export.to_javascript (--format js)"
    )


def page_source(env: Environment, algorithm: str, policy: Program, about: dict[str, Any]) -> str:
    """The HTML of the page.

    Args:
      env: the environment; its numbers are those of the game.
      algorithm: the name of the agent's class.
      policy: of "observation"; gives "action" and what the policy decides by.
      about: plain data about the policy, as `jaxrl.export` notes it.
    """
    page, env = require_page(env), with_array_leaves(env)
    functions = {"step": step_function(env, page.parameters), **page.functions(env)}
    programs = {name: traced(*function) for name, function in functions.items()} | {"policy": policy}
    definitions = [f"const {name} = {program_source(program)};" for name, program in programs.items()]
    data = {"about": about, "setting": page.setting(env)}
    definitions += [f"const {name} = {literal(value)};" for name, value in data.items()]
    exported = ", ".join([*programs, *data])
    definitions.append(f"// For the console.\nglobalThis.jaxrl = {{ {exported} }};")
    parts = {
        "title": html.escape(page.title),
        "algorithm": html.escape(algorithm),
        "style": packaged("page.css") + packaged(f"{page.files}.css"),
        "facts": _facts(algorithm, about),
        "script": "\n".join([packaged("runtime.js"), *definitions, packaged(f"{page.files}.js")]),
    }
    parts["body"] = filled(packaged(f"{page.files}.html"), parts)
    return f"{PAGE_MARK}. It needs no network. -->\n" + filled(packaged("page.html"), parts)


def step_function(env: Any, parameters: tuple[str, ...] = ()) -> Function:
    """A step of an environment as a function of arrays by name, and its inputs.

    Args:
      env: its step must need no randomness.
      parameters: fields of the environment that are inputs.

    Returns:
      A function of the leaves of the state, "state_0" and so on, of "action", and of the parameters, that gives the
      leaves of the next state, "observation" and "terminated"; and the shape and dtype of its inputs by name.
    """
    state = jax.eval_shape(lambda: env.reset(jax.random.key(0))[0])
    structure, leaves = jax.tree.structure(state), _leaves(state)
    numbers = {"action": jax.ShapeDtypeStruct((), jnp.int32)}
    numbers |= {name: jax.ShapeDtypeStruct((), jnp.float32) for name in parameters}

    def step(*columns: jax.Array) -> dict[str, jax.Array]:
        before = jax.tree.unflatten(structure, columns[: len(leaves)])
        action, *values = columns[len(leaves) :]
        changed = dataclasses.replace(env, **dict(zip(parameters, values, strict=True)))
        after, timestep = changed.step(before, action, jax.random.key(0))
        return {**_leaves(after), "observation": timestep.obs, "terminated": timestep.terminated}

    return step, leaves | numbers


def _leaves(state: Any) -> dict[str, Any]:
    return {f"state_{number}": leaf for number, leaf in enumerate(jax.tree.leaves(state))}


def _facts(algorithm: str, about: dict[str, Any]) -> str:
    """What there is to say about the agent, as a list of HTML."""
    rows = {"Algorithm": algorithm}
    if "environment_steps" in about:
        rows["Trained for"] = f"{about['environment_steps']:,} steps"
    rows["Seed"] = str(about["seed"])
    if "exact_score" in about:
        rows["Mean strikes"] = f"{about['exact_score']:.2f}"
    elif about.get("greedy_return") is not None:
        rows["Mean return"] = f"{about['greedy_return']:.1f}"
    rows["Made with"] = str(about["made_with"])
    return "\n".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in rows.items())
