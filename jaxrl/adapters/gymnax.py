"""gymnax's environments, of its versions 1.0 and 0.0.9.

By its hooks `reset_env` and `step_env` alone: gymnax's `step` hands out the observation after the reset. In 1.0,
`step_env` says whether the episode terminated, and `is_truncated` whether it reached the time limit; in 0.0.9 it says
whether either happened.
"""

import contextlib
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.adapters.library import Adapted, Instance, Library, arguments_of, built, require_arguments, sorted_options
from jaxrl.adapters.spaces import action_space_of
from jaxrl.environment import TimeStep
from jaxrl.pytree import pytree
from jaxrl.spaces import Space

_LIMIT = "max_steps_in_episode"
_NEVER = 2**30
"""A time limit that no episode reaches."""


@pytree
class Gymnax(Adapted):
    """An environment of gymnax; `params` are its parameters, every one a leaf.

    Observations, rewards and dynamics are gymnax's. The time limit is `params.max_steps_in_episode`, which may differ
    between members up to `max_steps`; it truncates, and gymnax's other ends terminate.
    """

    params: Any = ()
    """gymnax's own dataclass of parameters."""

    library = Library("gymnax")

    @staticmethod
    def build(name: str, options: dict[str, Any]) -> Any:
        """The environment object of gymnax."""
        return Gymnax.library.load().make(name, **options)[0]

    @property
    def action_space(self) -> Space:
        """As gymnax has it."""
        return action_space_of(self._space("action_space"), self.full_name)

    @property
    def library_observation_space(self) -> Any:
        """As gymnax has it."""
        return self._space("observation_space")

    def begin(self, key: jax.Array) -> tuple[Any, Any]:
        """`reset_env`."""
        obs, state = self.original.reset_env(key, self._params)
        return state, obs

    def advance(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """`step_env`, with termination and truncation apart."""
        env, params = self.original, self._params
        obs, after, reward, ended, info = env.step_env(key, state, action, params)
        if hasattr(env, "is_truncated"):
            terminated, truncated = ended, env.is_truncated(after, params)
        else:
            # The same step once more, where time never runs out; XLA computes what they share once.
            endless = params.replace(**{_LIMIT: _NEVER})
            terminated = env.step_env(jax.random.clone(key), state, action, endless)[3]
            truncated = jnp.asarray(ended, bool) & ~jnp.asarray(terminated, bool)
        return after, TimeStep(obs, reward, terminated, truncated, info)

    def to_fields(self) -> dict[str, Any]:
        """The parameters as a dict."""
        return super().to_fields() | {"params": _values(self.params)}

    @classmethod
    def restore(cls, fields: dict[str, Any]) -> "Gymnax":
        """Makes it by its name, with all its parameters."""
        name, options = fields["name"], fields["options"]
        params = built(cls, name, sorted_options(options)).default_params
        strange = fields["params"].keys() - _values(params).keys()
        if strange:
            raise ValueError(f"gymnax {cls.library.version} has no parameter {min(strange)!r} of {name}")
        params = params.replace(**fields["params"])
        return cls(name, sorted_options(options), None, cls.library.version, fields["max_steps"], params=params)

    @property
    def _params(self) -> Any:
        """As JAX's arrays: gymnax takes their elements by indices that are traced."""
        return jax.tree.map(jnp.asarray, self.params)

    def _space(self, name: str) -> Any:
        """A space by these parameters, or by the defaults where it needs numbers and these are traced."""
        space = getattr(self.original, name)
        try:
            return space(self.params)
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
            return space(self.original.default_params)


def make(name: str, **parameters: Any) -> Gymnax:
    """`jaxrl.make("gymnax:NAME", ...)`.

    Args:
      name: gymnax's.
      **parameters: fields of its parameters, arguments of its constructor (such as `rows` of Catch), and `max_steps`,
        which is another name of `max_steps_in_episode`.

    Raises:
      ImportError: gymnax is missing.
      ValueError: no such environment, or no such parameter.
    """
    library = Gymnax.library
    library.require_name(name, library.load().registered_envs)
    if "max_steps" in parameters:
        parameters[_LIMIT] = parameters.pop("max_steps")
    fields = _values(built(Gymnax, name, ()).default_params)
    options = {key: value for key, value in parameters.items() if key not in fields}
    require_arguments(f"gymnax:{name}", type(built(Gymnax, name, ())), options, *fields)
    params = built(Gymnax, name, sorted_options(options)).default_params
    return _adapted(name, options, None, params.replace(**{k: v for k, v in parameters.items() if k in fields}))


def from_gymnax(env: Any, params: Any = None) -> Gymnax:
    """Adapts an environment object of gymnax.

    One that `gymnax.make` would make as well is kept by its name, and so can be stored; any other can be trained on,
    but neither stored nor resumed.

    Args:
      env: of gymnax, or of a class of yours with the same methods.
      params: its parameters; by default `env.default_params`.

    Raises:
      ImportError: gymnax is missing.
      TypeError: it is no environment of gymnax.
    """
    registered = Gymnax.library.load().registered_envs
    if not all(hasattr(env, name) for name in ("reset_env", "step_env", "default_params")):
        raise TypeError(f"env = {env!r} must be an environment of gymnax, as the first that gymnax.make gives")
    params = env.default_params if params is None else params
    for name in registered:
        if name == env.name:
            options = _options_of(env, name)
            if options is not None:
                return _adapted(name, options, None, params)
    return _adapted(env.name, {}, Instance(env), params)


def _adapted(name: str, options: dict[str, Any], instance: Instance | None, params: Any) -> Gymnax:
    limit = int(np.max(np.asarray(getattr(params, _LIMIT))))
    return Gymnax(name, sorted_options(options), instance, Gymnax.library.version, limit, params=params)


def _options_of(env: Any, name: str) -> dict[str, Any] | None:
    """The arguments with which `gymnax.make` would make an equal object; None where there are none."""
    plain = built(Gymnax, name, ())
    if type(env) is not type(plain):
        return None
    given = {key: getattr(env, key) for key in arguments_of(type(env)) if hasattr(env, key)}
    numbers = {key: value for key, value in given.items() if isinstance(value, bool | int | float | str)}
    for options in ({}, numbers):
        with contextlib.suppress(Exception):  # Whatever an unknown constructor does not like.
            if _equal(vars(env), vars(built(Gymnax, name, sorted_options(options)))):
                return options
    return None


def _equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def _values(params: Any) -> dict[str, Any]:
    return {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}
