"""A page for each registered environment, with a GIF of random play."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from results import WORKS, Results, chosen, draw_curves, scores
from tables import environment_fields, table

import jaxrl
from jaxrl.actors import start_actors
from jaxrl.environment import Environment
from jaxrl.presets import PRESETS
from jaxrl.registry import names
from jaxrl.rendering import save_gif
from jaxrl.rollout import random_rollout

_FRAMES = 40
_FRAMES_PER_SECOND = 10


def write_environment_pages(folder: Path, results: Results, write: Callable[[Path, str], None]) -> None:
    """Writes the pages to `folder/environments`, and removes those of environments that are gone."""
    known = names()
    for page in (folder / "environments").glob("*.md"):
        if page.stem not in known:
            page.unlink()
    for name in known:
        env = jaxrl.make(name)
        _draw(env, folder / "gifs" / f"{name}.gif")
        measured = chosen(results, env=name)
        if measured:
            draw_curves(measured, folder / "curves" / f"{name}.svg")
        write(folder / "environments" / f"{name}.md", page_of(name, env, measured))


def page_of(name: str, env: Environment, measured: Results) -> str:
    """The page of an environment."""
    kind = type(env)
    origin = inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "")
    facts = [
        ("observation", space_text(env.observation_space)),
        ("action", space_text(env.action_space)),
        ("longest episode", f"{env.max_steps:,} steps, then it is truncated"),
        (
            "solved at a return of",
            "no threshold is agreed on" if env.solved_return is None else f"{env.solved_return:g}",
        ),
        ("action mask", "yes" if _has_mask(env) else "no: every action is always allowed"),
    ]
    missing = [work for work, preset in WORKS.items() if preset.env == name and work not in measured]
    presets = [(f"`{p}`", preset.algorithm, preset.description) for p, preset in PRESETS.items() if preset.env == name]
    parts = [
        f"# {name}",
        inspect.cleandoc(kind.__doc__ or ""),
        f"```{{image}} /generated/gifs/{name}.gif\n:alt: {name}, random play\n:class: picture\n:width: 320px\n```",
        f'Random play, {_FRAMES} steps. `jaxrl.make("{name}")` makes it, a `{kind.__module__}.{kind.__name__}`.',
        table(("property", "value"), facts),
        "## Constants",
        "A *leaf* may differ from member to member and be swept (`env.NAME`); a *static* field is part of the program.",
        environment_fields(env) or "It has none.",
        "## Presets",
        table(("preset", "algorithm", "what it sets"), presets) if presets else "There is no preset for it.",
        "## Scores",
        scores(measured, "algorithm", missing, f"/generated/curves/{name}.svg") or "Nothing is measured here yet.",
        "## Origin",
        origin,
    ]
    return "\n\n".join(parts) + "\n"


def space_text(space: Any) -> str:
    """A space in words."""
    if isinstance(space, jaxrl.Discrete):
        return f"discrete, 0 to {space.n - 1}"
    if isinstance(space, jaxrl.MultiDiscrete):
        return "several discrete: " + ", ".join(f"0 to {n - 1}" for n in space.counts)
    if isinstance(space, jaxrl.Box):
        low, high = np.unique(np.asarray(space.low)), np.unique(np.asarray(space.high))
        bounds = f", {low[0]:g} to {high[0]:g}" if low.size == high.size == 1 else ", bounds by element"
        return f"`{np.dtype(space.dtype).name}{list(space.shape)}`{bounds}"
    parts = space.spaces.items() if isinstance(space, jaxrl.Dict) else enumerate(space.spaces)
    return "; ".join(f"`{part}`: {space_text(inner)}" for part, inner in parts)


def _has_mask(env: Environment) -> bool:
    state, _ = jax.eval_shape(env.reset, jax.random.key(0))
    return jax.eval_shape(env.action_mask, state) is not None


def _draw(env: Environment, path: Path) -> None:
    """Writes a GIF of random play, unless there is one that is newer than the environment's code."""
    source = Path(inspect.getfile(type(env)))
    if path.exists() and path.stat().st_mtime > source.stat().st_mtime:
        return
    states = jax.device_get(_played(env, jax.random.key(1)))
    frames = [env.render(jax.tree.map(lambda x, t=t: x[t, 0], states)) for t in range(_FRAMES)]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_gif(path, frames, _FRAMES_PER_SECOND)


@jax.jit
def _played(env: Environment, key: jax.Array) -> Any:
    """The states after each step of random play with automatic resets: leaves `[_FRAMES, 1, ...]`."""
    start, play = jax.random.split(key)
    actors = start_actors(env, start, 1)
    return random_rollout(env, actors, _FRAMES, play, lambda step: step.following.state)[1]
