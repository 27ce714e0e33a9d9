"""Python environments of Gymnasium for jaxrl's agents: for prototypes and evaluation.

All environments of all members are stepped by one call of Python, from inside the compiled program. Nothing of such an
environment's state can be in the program: what it carries is the seed of an episode and the number of its steps, by
which Python finds the environment that is there already, or begins the episode.
"""

import functools
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.adapters.library import Adapted, Instance, Library, sorted_options
from jaxrl.adapters.spaces import action_space_of, name_of_part, plain
from jaxrl.arguments import shown
from jaxrl.environment import TimeStep
from jaxrl.pytree import pytree
from jaxrl.spaces import Space

DEFAULT_MAX_STEPS = 1000
"""The time limit of environments that have none."""
MOST_BATCHES = 16
"""Sets of environments that are kept, the least recently used one dropped first."""


@pytree
class PythonState:
    """What is known of a Python environment.

    Attributes:
      seed: u32[], of the episode.
      count: i32[], its steps so far, as Python gave it: so steps follow each other.
    """

    seed: jax.Array
    count: jax.Array


@pytree
class Gymnasium(Adapted):
    """A Python environment of Gymnasium, with its own time limit.

    A run that is resumed goes on to other numbers, because the episodes that were under way begin anew. Steps take as
    long as Python does, and are not shared among devices.
    """

    costly_reset = True
    library = Library("gymnasium")

    @staticmethod
    def build(name: str, options: dict[str, Any]) -> Any:
        """What makes one environment object."""
        return functools.partial(Gymnasium.library.load().make, name, **options)

    @property
    def action_space(self) -> Space:
        """As Gymnasium has it."""
        return action_space_of(self._host.action_space, self.full_name)

    @property
    def library_observation_space(self) -> Any:
        """As Gymnasium has it."""
        return self._host.observation_space

    def begin(self, key: jax.Array) -> tuple[Any, Any]:
        """The first observation of the episode with a seed drawn by the key."""
        seed = random_bits.bits(key, (1,))[0]
        return PythonState(seed, jnp.int32(0)), self._host.calls[0](seed)

    def advance(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """A step in Python; Gymnasium's random numbers are its own."""
        count, *step = self._host.calls[1](state.seed, state.count, jnp.asarray(action))
        return PythonState(state.seed, count), TimeStep(*step)

    @property
    def _host(self) -> "Host":
        return _host(self.original, self.max_steps)


class Host:
    """Python's side: the environments of every compiled program that plays them."""

    def __init__(self, make_one: Callable[[], Any], max_steps: int) -> None:
        self._make, self._max_steps = make_one, max_steps
        self._scratch = make_one()
        self.observation_space = self._scratch.observation_space
        self.action_space = self._scratch.action_space
        self._batches: list[Batch] = []
        self._lock = threading.Lock()
        self.calls = self._reset_call(), self._step_call()

    def _obs(self, shape: tuple[int, ...]) -> Any:
        """Shapes and dtypes of the arrays of observations `[*shape, ...]`, in their structure."""
        return _forms_of(self.observation_space, shape)

    def _reset_call(self) -> Callable[..., Any]:
        def first(seeds: jax.Array) -> Any:
            with self._lock:
                seed_array = np.asarray(seeds)
                rows = [_plain(self._scratch.reset(seed=int(seed))[0]) for seed in seed_array.reshape(-1)]
                return jax.tree.map(_as_form, self._obs(seed_array.shape), *rows)

        return one_call_for_all(lambda seed: jax.pure_callback(first, self._obs(seed.shape), seed))

    def _step_call(self) -> Callable[..., Any]:
        forms = self._step_forms

        def step(seeds: jax.Array, counts: jax.Array, actions: jax.Array) -> tuple[Any, ...]:
            with self._lock:
                shape = np.shape(seeds)
                arrays = [np.asarray(x).reshape(-1, *np.shape(x)[len(shape) :]) for x in (seeds, counts, actions)]
                count, obs, *others = self._batch(arrays[0], arrays[1]).step(*arrays)
                given = (count, _plain(obs), *others)
                return jax.tree.map(lambda form, x: np.asarray(x, form.dtype).reshape(form.shape), forms(shape), given)

        def call(seed: jax.Array, count: jax.Array, action: jax.Array) -> Any:
            return jax.pure_callback(step, forms(seed.shape), seed, count, action)

        return one_call_for_all(call)

    def _step_forms(self, shape: tuple[int, ...]) -> tuple[Any, ...]:
        """Counts, observations, rewards and flags."""
        dtypes = (jnp.int32, None, jnp.float32, jnp.bool_, jnp.bool_)
        return tuple(self._obs(shape) if d is None else jax.ShapeDtypeStruct(shape, d) for d in dtypes)

    def _batch(self, seeds: np.ndarray, counts: np.ndarray) -> "Batch":
        """The environments whose episodes these are, or new ones."""
        batch_in_use = next((batch for batch in self._batches if batch.holds(seeds, counts)), None)
        if batch_in_use is None:
            if counts.any():
                warnings.warn(
                    "episodes of a Python environment that were under way are unknown here, as after resuming: they "
                    "begin anew",
                    stacklevel=2,
                )
            batch_in_use = Batch(self._make, len(seeds), self._max_steps)
        self._batches = [batch_in_use, *(batch for batch in self._batches if batch is not batch_in_use)][:MOST_BATCHES]
        return batch_in_use


class Batch:
    """A vector of Python environments, and the seeds and steps of their episodes."""

    def __init__(self, make_one: Callable[[], Any], size: int, max_steps: int) -> None:
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        self._envs = SyncVectorEnv([make_one] * size, autoreset_mode=AutoresetMode.DISABLED)
        self._seeds = np.zeros(size, np.uint32)
        self._counts = np.full(size, -1)
        self._over = np.ones(size, bool)
        self._max_steps = max_steps

    def holds(self, seeds: np.ndarray, counts: np.ndarray) -> bool:
        """Whether all episodes that have begun are here, and none of those that are here is left in the middle.

        One may be left where another one goes on, as an evaluation leaves those that it has no use for.
        """
        if len(seeds) != len(self._seeds):
            return False
        begins, goes_on = counts == 0, (seeds == self._seeds) & (counts == self._counts)
        return bool(np.all(begins | goes_on) and (np.all(self._over | goes_on) or np.any(goes_on & ~begins)))

    def step(self, seeds: np.ndarray, counts: np.ndarray, actions: np.ndarray) -> tuple[Any, ...]:
        """Begins the episodes that are not under way, and takes a step in all."""
        begins = (counts == 0) | (counts != self._counts)
        if begins.any():
            self._envs.reset(seed=[int(seed) for seed in seeds], options={"reset_mask": begins})
        self._seeds, self._counts = np.array(seeds), np.full(len(seeds), -1)
        obs, rewards, terminated, truncated, _ = self._envs.step(actions)
        self._counts = counts + 1
        self._over = terminated | truncated | (self._counts >= self._max_steps)
        return self._counts, obs, rewards, terminated, truncated


def _forms_of(space: Any, shape: tuple[int, ...]) -> Any:
    parts = getattr(space, "spaces", None)
    if isinstance(parts, Mapping):
        return {name_of_part(key): _forms_of(part, shape) for key, part in parts.items()}
    if isinstance(parts, tuple | list):
        return tuple(_forms_of(part, shape) for part in parts)
    if space.shape is None or space.dtype is None:
        raise ValueError(
            f"a Python environment has the observation space {shown(space)}, whose elements are no arrays of one "
            "shape: make an array of them, in a wrapper of Gymnasium"
        )
    return jax.ShapeDtypeStruct((*shape, *space.shape), jax.dtypes.canonicalize_dtype(space.dtype))


def _plain(obs: Any) -> Any:
    """An observation, or many, of Gymnasium, in dicts and tuples alone; arrays stay in NumPy."""
    return plain(obs, np.asarray)


def _as_form(form: jax.ShapeDtypeStruct, *rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows, form.dtype).reshape(form.shape)


def one_call_for_all(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays with any leading axes, which `vmap` calls once with one axis more."""
    call = jax.custom_batching.custom_vmap(function)

    @call.def_vmap
    def _(size: int, batched: list[bool], *arrays: Any) -> Any:
        pairs = zip(batched, arrays, strict=True)
        full = [x if is_batched else jnp.broadcast_to(x, (size, *x.shape)) for is_batched, x in pairs]
        given = call(*full)
        return given, jax.tree.map(lambda _: True, given)

    return call


@functools.lru_cache(maxsize=64)
def _host(make_one: Callable[[], Any], max_steps: int) -> Host:
    return Host(make_one, max_steps)


def make(name: str, **options: Any) -> Gymnasium:
    """`jaxrl.make("gymnasium:NAME", ...)`.

    Args:
      name: Gymnasium's.
      **options: arguments of `gymnasium.make`.

    Raises:
      ImportError: Gymnasium is missing.
      ValueError: no such environment, or an action space that jaxrl does not have.
    """
    library = Gymnasium.library
    library.require_name(name, library.load().registry)
    spec = library.load().spec(name)
    own = options.get("max_episode_steps") or spec.max_episode_steps
    return _adapted(Gymnasium(name, sorted_options(options), None, library.version, own or DEFAULT_MAX_STEPS))


def from_gymnasium(make_one: Callable[[], Any], max_steps: int = DEFAULT_MAX_STEPS) -> Gymnasium:
    """Adapts a Python environment, which can be trained on, but neither stored nor resumed.

    Args:
      make_one: makes an environment object, anew at every call.
      max_steps: the time limit.

    Raises:
      ImportError: Gymnasium is missing.
      TypeError: it can't be called.
      ValueError: its action space is one that jaxrl does not have.
    """
    Gymnasium.library.load()
    if not callable(make_one):
        raise TypeError(f"make_one = {make_one!r} must be a function that makes an environment, such as its class")
    name = getattr(make_one, "__name__", type(make_one).__name__)
    return _adapted(Gymnasium(name, (), Instance(make_one), Gymnasium.library.version, max_steps))


def _adapted(env: Gymnasium) -> Gymnasium:
    _ = env.action_space  # Says at once what can't be played.
    warnings.warn(
        f"{env.full_name} steps in Python, one call for all members: a run takes as long as Python does, and one that "
        "is resumed goes on with new episodes, to other numbers",
        stacklevel=4,
    )
    return env
