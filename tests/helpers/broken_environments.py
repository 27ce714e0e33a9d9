"""For every code of `check_env`, environments that break just that."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tiny_environments import Luggage, Push, Walk, WalkState

from jaxrl import Box, Dict, Discrete, Environment, leaf, pytree, random_bits, static

BROKEN: list[tuple[str, str, type]] = []
"""(code, what the message must name, the environment's class)."""


def broken(code: str, seen: str, *, decorate: bool = True) -> Callable[[type], type]:
    """Registers a class as the proof that `check_env` finds `code` and says what it saw."""

    def register(cls: type) -> type:
        made = pytree(cls) if decorate else cls
        BROKEN.append((code, seen, made))
        return made

    return register


def variant(code: str, seen: str, name: str, base: type = Walk, /, **members: Any) -> None:
    """Registers a new class: `base` with these methods and fields, which are `static(...)` or `leaf(...)`."""
    fields = {key: type(value.default) for key, value in members.items() if isinstance(value, dataclasses.Field)}
    broken(code, seen)(type(name, (base,), {"__annotations__": fields, **members}))


# The class, its fields and its spaces.


@broken("not-environment", "NotEnvironment", decorate=False)
class NotEnvironment:
    pass


@broken("not-pytree", "Undecorated is not registered", decorate=False)
class Undecorated(Walk):
    wind: float = 1.0


@broken("max-steps", "max_steps = None")
class NoMaxSteps(Environment):
    observation_space, action_space = Walk.observation_space, Walk.action_space
    reset, start, observe, step = Walk.reset, Walk.start, Walk.observe, Walk.step
    reward, over, info = Walk.reward, lambda self, state: jnp.abs(state.position) > 3, Walk.info


variant("max-steps", "is a leaf", "LeafMaxSteps", max_steps=leaf(default=20))
variant("max-steps", "max_steps = 0", "ZeroMaxSteps", max_steps=static(default=0))
variant("max-steps", "max_steps = 20.0", "FloatMaxSteps", max_steps=static(default=20.0))
variant("field-type", "TextLeaf.mode = 'easy'", "TextLeaf", mode=leaf(default="easy"))
variant("field-bounds", "must be > 0", "NegativeLimit", limit=leaf(default=-1.0, above=0))
variant("observation-space", "is of type method", "SpaceMethod", observation_space=lambda self: Discrete(2))
variant("action-space", "KeyError: 'actions'", "NoActions", action_space=property(lambda self: {}["actions"]))


@broken("field-type", "must be hashable")
class UnhashableField(Walk):
    walls: Any = static(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "walls", [1, 2])


@broken("leaf-traced", "building the environment with traced fields raised TracerBoolConversionError")
class CheckedLeaf(Walk):
    def __post_init__(self) -> None:
        assert self.limit > 0


@broken("leaf-traced", "observation_space with the environment's fields traced raised TracerIntegerConversionError")
class TracedObservationSpace(Walk):
    size: int = 2

    @property
    def observation_space(self) -> Any:
        return Box(-10.0, 10.0, (self.size.__index__(),))


# The methods, in plain Python, compiled and batched.


variant("raises", "step raised ZeroDivisionError", "RaisingStep", step=lambda self, state, action, key: 1 // 0)
variant("raises", "NoReset has no reset(key)", "NoReset", reset=Environment.reset)
variant("raises", "step raised TypeError", "NoKey", step=lambda self, state, action: None)
variant("raises", "action_mask raised IndexError", "RaisingMask", action_mask=lambda self, state: [][0])


@broken("raises", "FrozenInstanceError: cannot assign to field 'limit'")
class Assigning(Walk):
    def observe(self, state: Any) -> Any:
        self.limit = 4.0
        return super().observe(state)


kept: list[Any] = []
counter = itertools.count()


def is_traced(state: WalkState) -> bool:
    return isinstance(state.position, jax.core.Tracer)


@broken("side-effect", "reset keeps a traced value")
class Leaking(Walk):
    def start(self, position: Any, key: jax.Array) -> Any:
        kept.append(position)
        return super().start(position, key)


class Ledger:
    entries: list[int] = []  # noqa: RUF012
    count = 0


total = 0


@broken("side-effect", "step changed Ledger")
class Recording(Walk):
    def reward(self, state: Any) -> Any:
        Ledger.entries.append(1)
        return super().reward(state)


@broken("side-effect", "reset changed total")
class Totalling(Walk):
    def reset(self, key: jax.Array) -> Any:
        global total
        total += 1
        return super().reset(key)


@broken("side-effect", "step changed Ledger")
class CountingElsewhere(Walk):
    def reward(self, state: Any) -> Any:
        note_down()
        return super().reward(state)


def note_down() -> None:
    Ledger.count += 1


@broken("side-effect", "step changed OwnList.seen")
class OwnList(Walk):
    seen = []  # noqa: RUF012

    def info(self, state: Any) -> Any:
        self.seen.append(0)
        return super().info(state)


@broken("side-effect", "reset changed numpy.random")
class DrawsInVain(Walk):
    def reset(self, key: jax.Array) -> Any:
        np.random.rand()
        return super().reset(key)


@broken("mutates", "step changed what it was given")
class Appending(Luggage):
    def packed(self) -> Any:
        return [jnp.float32(0)]

    def carried(self, luggage: Any, walk: Any) -> Any:
        luggage.append(luggage.pop() + 1)
        return luggage


variant(
    "mutates",
    "step changed what it was given",
    "Updating",
    Luggage,
    packed=lambda self: {"moves": jnp.float32(0)},
    carried=lambda self, luggage, walk: luggage.update(moves=luggage["moves"] + 1) or luggage,
)


@broken("side-effect", "step set the environment's last")
class Mutating(Walk):
    def reward(self, state: Any) -> Any:
        object.__setattr__(self, "last", object())
        return super().reward(state)


@broken("prints", "step prints 'moved'")
class Printing(Walk):
    def reward(self, state: Any) -> Any:
        print("moved")
        return super().reward(state)


class Settings:
    """Compares by identity, so copies differ."""


variant(
    "jit",
    "compiling step raised TracerBoolConversionError",
    "PythonBranch",
    reward=lambda self, state: jnp.float32(1 if state.position > 0 else 0),
)
variant("impure", "reset gave two results", "NumpyRandom", reset=lambda self, key: self.start(np.random.rand(), key))
variant("impure", "step gave two results", "Counting", reward=lambda self, state: jnp.float32(next(counter)))
variant(
    "impure",
    "step became two programs",
    "CountingTraces",
    reward=lambda self, state: jnp.float32(next(counter) if is_traced(state) else 0),
)
variant("jit-differs", "step gives other numbers", "TracerDependent", reward=lambda _, s: jnp.float32(is_traced(s)))
variant(
    "leaf-traced",
    "reset with the environment's fields traced",
    "LeafAsShape",
    size=leaf(default=2),
    observe=lambda self, state: jnp.full((self.size,), state.position),
)
variant(
    "vmap",
    "step under jax.vmap raised NotImplementedError",
    "Callback",
    reward=lambda self, state: jax.pure_callback(np.negative, jax.ShapeDtypeStruct((), jnp.float32), state.position),
)
variant("recompiles", "a copy of the environment", "IdentityField", settings=static(default=Settings()))


# What the methods return.


variant("reset-return", "reset returned float32[2]", "ObservationOnly", reset=lambda self, key: jnp.zeros(2))
variant(
    "not-array", "reset returned 'go' at [0].key", "TextState", reset=lambda self, _: self.start(jnp.zeros(()), "go")
)
variant(
    "obs-shape",
    "reset's observation is float32[]",
    "WrongShapeAtReset",
    start=lambda self, position, key: (WalkState(position, key), position),
)
variant(
    "obs-structure",
    "observation_space is made of obs_position",
    "StructureAtReset",
    observation_space=Dict({"position": Box(-10.0, 10.0)}),
)
variant(
    "obs-shape",
    "reset's observation_position is float32[]",
    "WrongShapeInStructure",
    observation_space=Dict({"position": Box(-10.0, 10.0, (2,))}),
    observe=lambda self, state: {"position": state.position},
)


@broken("step-return", "a tuple of")
class GymnasiumStep(Walk):
    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        state, step = super().step(state, action, key)
        return step.obs, state, step.reward, step.terminated, {}


@broken("obs-shape", "step's observation is float32[1, 2]")
class WrongShapeAtStep(Walk):
    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        state, step = super().step(state, action, key)
        return state, dataclasses.replace(step, obs=step.obs[None])


@broken("obs-dtype", "reset's observation is float32[2], not float16")
class PromotedObservation(Walk):
    """A field is an f32 array in training, so it promotes what a Python number leaves alone."""

    observation_space = Box(-10.0, 10.0, (2,), jnp.float16)

    def observe(self, state: Any) -> Any:
        return super().observe(state).astype(jnp.float16) / self.limit


variant("obs-shape", "a dict of 1 leaves", "DictObservation", observe=lambda self, state: {"position": state.position})
variant("obs-dtype", "int32[2], not float32", "IntegerObservation", observe=lambda self, state: jnp.zeros(2, jnp.int32))
variant("reward-shape", "reward is float32[2]", "RewardVector", reward=lambda self, state: jnp.zeros((2,), jnp.float32))
variant("reward-dtype", "reward is int32[]", "IntegerReward", reward=lambda self, state: jnp.int32(1))
variant("reward-dtype", "reward is bool[]", "BoolReward", reward=lambda self, state: state.position > 0)
variant("flag-shape", "terminated is bool[1]", "FlagVector", over=lambda self, state: state.position[None] > 3)
variant("flag-dtype", "terminated is int32[]", "IntegerFlag", over=lambda self, state: jnp.int32(state.position > 3))
variant("info", "info['both'] is float32[2]", "InfoVector", info=lambda self, state: {"both": self.observe(state)})
variant("info", "info is None", "NoInfo", info=lambda self, state: None)


@broken("state-structure", "from reset to step")
class TupleState(Walk):
    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        state, step = super().step(state, action, key)
        return (state.position, state.key), step


@broken("state-dtype", "state.position changes from reset to step, int32[] to float32[]")
class IntegerStart(Walk):
    def start(self, position: Any, key: jax.Array) -> Any:
        return WalkState(jnp.int32(position * 3), key), super().start(position, key)[1]


@pytree
class LateDtype(Luggage):
    """The Python number in reset's state hides until the second step that the state's dtype changes."""

    def packed(self) -> Any:
        return {"scale": 1.0, "half": jnp.float16(0)}

    def carried(self, luggage: Any, walk: Any) -> Any:
        return {"scale": jnp.float32(1), "half": luggage["half"] * luggage["scale"]}


variant(
    "state-shape",
    "state['luggage'] changes from reset to step, float32[1] to float32[2]",
    "GrowingState",
    Luggage,
    packed=lambda self: jnp.zeros(1, jnp.float32),
    carried=lambda self, luggage, walk: jnp.append(luggage, walk.position),
)
variant(
    "weak-type",
    "state['luggage'] of reset is weakly typed int32",
    "PythonState",
    Luggage,
    packed=lambda self: 0,
    carried=lambda self, luggage, walk: jnp.int32(luggage + 1),
)
variant("weak-type", "reward of step is weakly typed float32", "PythonReward", reward=lambda self, state: 1.0)
variant("mask-space", "for the action space Box", "MaskedBox", Push, action_mask=lambda self, state: jnp.ones(1, bool))
variant("mask-shape", "action_mask is bool[3]", "LongMask", action_mask=lambda self, state: jnp.ones(3, bool))
variant("mask-dtype", "action_mask is float32[2]", "FloatMask", action_mask=lambda self, state: self.observe(state))


# Random numbers.


@broken("key-reused", "reset used a random key twice")
class TwiceDrawn(Walk):
    def reset(self, key: jax.Array) -> Any:
        draws = jax.random.uniform(key, (), jnp.float32) - jax.random.normal(key, (), jnp.float32)
        return self.start(draws, jax.random.key(0))


@broken("key-reused", "reset used a random key twice")
class TwiceDrawnWords(Walk):
    def reset(self, key: jax.Array) -> Any:
        return self.start(
            random_bits.uniform(random_bits.bits(key, ())) + random_bits.uniform(random_bits.bits(key, ())),
            jax.random.key(0),
        )


@broken("key-ignored", "for 8 keys")
class FixedStart(Walk):
    def reset(self, key: jax.Array) -> Any:
        return self.start(jnp.float32(0), jax.random.key(0))


variant(
    "key-reused",
    "step, or reset and step together, used a random key twice",
    "StaleKey",
    step=lambda self, state, action, key: Walk.step(self, state, action, state.key),
)


# What happens in a random rollout.


@broken("obs-not-finite", "obs between")
class InfiniteObservation(Walk):
    observation_space = Box(shape=(2,))

    def observe(self, state: Any) -> Any:
        return jnp.stack([state.position, jnp.where(state.position > 2, jnp.inf, 0.0)])


variant(
    "state-nan", "random rollout", "NanState", Luggage, carried=lambda self, luggage, walk: jnp.sqrt(walk.position + 2)
)


@broken("resets-itself", "step returned what is like the start of another episode")
class ResettingItself(Walk):
    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        step_key, reset_key = jax.random.split(key)
        state, step = super().step(state, action, step_key)
        fresh = self.reset(reset_key)[0]
        position = jnp.where(step.terminated, fresh.position, state.position)
        state = WalkState(position, state.key)
        return state, dataclasses.replace(step, obs=self.observe(state))

    def action_mask(self, state: Any) -> Any:
        return jnp.ones(2, bool)


variant("mask-empty", "the mask after reset allows no action", "NoMask", action_mask=lambda _, s: jnp.zeros(2, bool))
variant("mask-empty", "mask between 0 and 0", "EmptyMask", action_mask=lambda _, s: jnp.repeat(abs(s.position) < 2, 2))
variant("obs-outside", "outside Box(low=-2.0", "NarrowBox", observation_space=Box(-2.0, 2.0, (2,)))
variant("reward-not-finite", "between nan and nan", "LogReward", reward=lambda self, state: jnp.log(2 - state.position))
variant("action-outside", "action between", "InvertedBox", Push, action_space=Box(1.0, -1.0, (1,)))
variant(
    "action-forbidden",
    "action between 1 and 1",
    "ForbiddenAction",
    action_mask=lambda self, state: jnp.arange(2) == 0,
    random_action=lambda self, state, uniform: jnp.int32(1),
)
