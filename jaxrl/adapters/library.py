"""What environments of other libraries have in common, whichever library they come from.

An adapted environment is a pytree like any other: the library's own numbers are its leaves, and the name by which the
library makes it is static. The object that the library made stands outside of it, in a cache, since two of them never
compare equal, and a program would be compiled for each.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
import inspect
import warnings
from collections.abc import Callable, Collection, Iterable
from types import ModuleType
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from jaxrl.adapters.spaces import plain, space_like
from jaxrl.arguments import shown
from jaxrl.environment import Environment, TimeStep
from jaxrl.pytree import pytree, static
from jaxrl.registry import nearest
from jaxrl.spaces import Space


@dataclasses.dataclass(frozen=True)
class Library:
    """A library of environments.

    Attributes:
      name: of its distribution, of jaxrl's extra that installs it, and what stands before the colon in
        `jaxrl.make("gymnax:CartPole-v1")`.
      module: as it is imported, where that is another name.
    """

    name: str
    module: str = ""

    @property
    def package(self) -> str:
        """As it is imported."""
        return self.module or self.name

    def load(self, module: str = "") -> ModuleType:
        """The library, or one of its modules.

        Raises:
          ImportError: it is not installed, and the message names the extra; or it fails to import.
        """
        try:
            package = importlib.import_module(self.package)
            return importlib.import_module(f"{self.package}.{module}") if module else package
        except ModuleNotFoundError as error:
            if error.name != self.package:
                raise
            raise ImportError(
                f'this needs the package {self.package}, which is not installed: pip install "jaxrl[{self.name}]"',
                name=self.package,
            ) from None

    @property
    def version(self) -> str:
        """The version that is installed."""
        return importlib.metadata.version(self.name)

    def require_name(self, name: str, known: Iterable[str]) -> None:
        """Raises a ValueError where the library has no environment of that name."""
        known = sorted(known)
        if name not in known:
            raise ValueError(
                f"{self.name} {self.version} has no environment {name!r}{nearest(name, known)}; it has: "
                + ", ".join(known)
            )


class Instance:
    """An environment object that a user made, equal to itself alone; a copy is the same object."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __repr__(self) -> str:
        return f"Instance({shown(self.original)})"


@dataclasses.dataclass(frozen=True)
class _Forms:
    """Shapes and dtypes: of the state and of the observation, whichever of reset and step gave it."""

    state: Any
    obs: Any


@pytree
class Adapted(Environment):
    """Base of environments of other libraries: says what is theirs in `build`, `begin`, `advance` and two spaces."""

    name: str = static(default="")
    """The library's name of the environment."""
    options: tuple[tuple[str, Any], ...] = static(default=())
    """Arguments that the library makes it with."""
    instance: Instance | None = static(default=None)
    """The environment object, where a user made it by other means than a name."""
    version: str = static(default="")
    """The version of the library."""
    max_steps: int = static(default=1000, minimum=1)
    """Most steps of one episode."""

    library: ClassVar[Library]

    @staticmethod
    def build(name: str, options: dict[str, Any]) -> Any:
        """The library's environment object."""
        raise NotImplementedError

    def begin(self, key: jax.Array) -> tuple[Any, Any]:
        """Starts an episode, as the library does: (state, observation)."""
        raise NotImplementedError

    def advance(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """Takes one step, as the library does and before any reset: (state, TimeStep), in dtypes of its own."""
        raise NotImplementedError

    @classmethod
    def restore(cls, fields: dict[str, Any]) -> "Adapted":
        """The environment that `to_fields` gave the fields of, but for the version."""
        return cls(fields["name"], sorted_options(fields["options"]), None, cls.library.version, fields["max_steps"])

    @property
    def library_observation_space(self) -> Any:
        """The library's own, or None where it has none that says more than shape and dtype."""
        return None

    @property
    def original(self) -> Any:
        """The library's environment object."""
        if self.instance is not None:
            return self.instance.original
        return built(type(self), self.name, self.options)

    @property
    def full_name(self) -> str:
        """The name that `jaxrl.make` takes."""
        return f"{self.library.name}:{self.name}"

    @property
    def observation_space(self) -> Space:
        """The library's bounds, and the structure, shapes and dtypes of the observations that it really gives."""
        return space_like(self.library_observation_space, self._forms().obs)

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """Starts an episode."""
        state, obs = self.begin(key)
        return self._settled(state), self._observed(obs)

    def step(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """Takes one step, without the reset that libraries add to theirs."""
        # A copy of its dicts, because brax changes some of them in place.
        after, step = self.advance(jax.tree.map(lambda x: x, state), action, key)
        return self._settled(after), TimeStep(
            obs=self._observed(step.obs),
            reward=_one(step.reward, jnp.float32),
            terminated=_one(step.terminated, jnp.bool_),
            truncated=_one(step.truncated, jnp.bool_),
            info={name: _cast(value) for name, value in step.info.items() if jnp.shape(value) == ()},
        )

    def to_fields(self) -> dict[str, Any]:
        """What a configuration stores.

        Raises:
          TypeError: the environment was made by a user, and not by a name.
        """
        if self.instance is not None:
            raise TypeError(
                f"{self.full_name} is an object of {type(self.original).__name__} made by hand, which can't be stored: "
                f"train it without out=, or make it by a name that {self.library.name} knows, as in "
                f'jaxrl.make("{self.library.name}:NAME")'
            )
        fields = {"name": self.name, "options": dict(self.options), "version": self.version}
        return fields | {"max_steps": self.max_steps}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Adapted":
        """Builds again what `to_fields` gave; warns where another version of the library is installed."""
        stored = fields.pop("version", None)
        env = cls.restore(fields)
        if stored != env.version:
            warnings.warn(
                f"{env.full_name} was stored with {cls.library.name} {stored}, and {env.version} is installed: its "
                "environments may have changed",
                stacklevel=2,
            )
        return env

    def _forms(self) -> _Forms:
        leaves, structure = jax.tree.flatten(self)
        return _forms(structure, tuple(jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)) for x in leaves))

    def _settled(self, state: Any) -> Any:
        """A state in the dtypes that all states have."""
        return jax.tree.map(lambda x, form: _cast(x, form.dtype), state, self._forms().state)

    def _observed(self, obs: Any) -> Any:
        """An observation as its space has it, in the dtypes that all observations have."""
        return jax.tree.map(lambda x, form: _cast(x, form.dtype), plain(obs), self._forms().obs)


def sorted_options(options: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Arguments by name as a static field holds them."""
    return tuple(sorted((name, _hashable(value)) for name, value in options.items()))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def built(kind: Any, name: str, options: tuple[tuple[str, Any], ...]) -> Any:
    """The library's environment object that a class of adapted environments builds, made once."""
    return _built(kind, name, options)


def require_arguments(owner: str, function: Callable[..., Any], options: dict[str, Any], *more: str) -> None:
    """Raises a ValueError where a function that makes an environment has no parameter of some name.

    Args:
      owner: the environment, for the message.
      function: that takes `options`.
      options: arguments by name.
      *more: names of other parameters, for the message.
    """
    require_options(owner, arguments_of(function), options, *more)


def require_options(owner: str, accepted: Collection[str], options: dict[str, Any], *more: str) -> None:
    """As `require_arguments`, where the accepted names are known."""
    for key in options:
        if key not in accepted:
            known = [*more, *accepted, "max_steps"]
            raise ValueError(f"{owner} has no parameter {key!r}{nearest(key, known)}; it has: {', '.join(known)}")


def arguments_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the parameters of a function or a constructor."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(key for key, value in inspect.signature(function).parameters.items() if value.kind in named)


@functools.lru_cache(maxsize=256)
def _built(kind: Any, name: str, options: tuple[tuple[str, Any], ...]) -> Any:
    # Whoever asks first may be tracing, and what the object holds must be no tracer.
    with jax.ensure_compile_time_eval():
        return kind.build(name, dict(options))


@functools.lru_cache(maxsize=256)
def _forms(structure: Any, leaves: tuple[jax.ShapeDtypeStruct, ...]) -> _Forms:
    """Shapes and dtypes by tracing a reset and a step: a dtype that holds what either gives."""

    def episode(leaves: Any) -> Any:
        env = jax.tree.unflatten(structure, leaves)
        space: Any = env.action_space
        reset_key, step_key = jax.random.split(jax.random.key(0))
        state, obs = env.begin(reset_key)
        after, step = env.advance(state, jnp.zeros(space.shape, space.dtype), step_key)
        return state, after, plain(obs), plain(step.obs)

    first, second, *observations = jax.eval_shape(episode, leaves)
    structures: list[Any] = [jax.tree.structure(state) for state in (first, second)]
    state = jax.tree.map(_common, first, second) if structures[0] == structures[1] else first
    return _Forms(state, jax.tree.map(_common, *observations))


def _common(first: Any, second: Any) -> jax.ShapeDtypeStruct:
    if jnp.issubdtype(first.dtype, jax.dtypes.prng_key):
        return first
    return jax.ShapeDtypeStruct(first.shape, jnp.promote_types(first.dtype, second.dtype))


def _cast(value: Any, dtype: Any = None) -> jax.Array:
    """An array of definite dtype, which Python's numbers do not have."""
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    return jax.lax.convert_element_type(array, array.dtype if dtype is None else dtype)


def _one(value: Any, dtype: Any) -> jax.Array:
    """A scalar of an array that has one element; check_env complains of any other."""
    array = _cast(value, dtype)
    return array.reshape(()) if array.size == 1 else array
