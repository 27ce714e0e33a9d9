"""One good tiny environment, and for every code of `check_env` environments that break just that."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl import Box, Discrete, TimeStep


@jaxrl.pytree
class WalkState:
    position: jax.Array
    key: jax.Array


@jaxrl.pytree
class Walk(jaxrl.Environment):
    """Good: a walk to the left or right, started at random, that ends beyond `limit`."""

    limit: float = jaxrl.leaf(3.0, above=0)
    max_steps: int = jaxrl.static(20, minimum=1)

    @property
    def observation_space(self) -> Any:
        return Box(-10.0, 10.0, (2,))

    @property
    def action_space(self) -> Any:
        return Discrete(2)

    def reset(self, key: jax.Array) -> Any:
        draw_key, state_key = jax.random.split(key)
        return self.start(jax.random.uniform(draw_key, (), jnp.float32, -1.0, 1.0), state_key)

    def start(self, position: Any, key: jax.Array) -> Any:
        state = WalkState(position, key)
        return state, self.observe(state)

    def observe(self, state: Any) -> Any:
        return jnp.stack([state.position, jnp.abs(state.position)])

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        next_key, draw_key = jax.random.split(state.key)
        move = jnp.where(action == 1, 1.0, -1.0) * jax.random.uniform(draw_key)
        state = self.move(WalkState(state.position + move, next_key))
        obs, reward = self.observe(state), self.reward(state)
        return state, TimeStep(obs, reward, self.over(state), jnp.zeros((), bool), self.info(state))

    def move(self, state: Any) -> Any:
        return state

    def reward(self, state: Any) -> Any:
        return jnp.float32(1.0)

    def over(self, state: Any) -> Any:
        return jnp.abs(state.position) > self.limit

    def info(self, state: Any) -> Any:
        return {"distance": jnp.abs(state.position)}

    def action_mask(self, state: Any) -> Any:
        return jnp.stack([state.position > -self.limit, state.position < self.limit])


@jaxrl.pytree
class Push(Walk):
    """Good: continuous actions, no mask, an image-like observation and a step that ignores its key."""

    @property
    def observation_space(self) -> Any:
        return Box(0, 255, (2, 2), jnp.uint8)

    @property
    def action_space(self) -> Any:
        return Box(-1.0, 1.0, (1,))

    def observe(self, state: Any) -> Any:
        return jnp.full((2, 2), jnp.clip(state.position * 10 + 100, 0, 255)).astype(jnp.uint8)

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        state = WalkState(state.position + action[0], state.key)
        return state, TimeStep(self.observe(state), jnp.float32(0), self.over(state))

    def action_mask(self, state: Any) -> Any:
        return None


BROKEN: list[tuple[str, str, str, Callable[[], Any]]] = []
"""(code, what the message must name, name of the case, how to build the environment)."""


def broken(code: str, seen: str, *, decorate: bool = True) -> Callable[[type], type]:
    """Registers a class as the proof that `check_env` finds `code` and says what it saw."""

    def register(cls: type) -> type:
        made = jaxrl.pytree(cls) if decorate else cls
        BROKEN.append((code, seen, cls.__name__, made))
        return made

    return register


# The class, its fields and its spaces.


@broken("not-environment", "NotEnvironment", decorate=False)
class NotEnvironment:
    pass


@broken("not-pytree", "Undecorated is not registered", decorate=False)
class Undecorated(Walk):
    wind: float = 1.0


@broken("max-steps", "max_steps = None")
class NoMaxSteps(jaxrl.Environment):
    observation_space = Walk.observation_space
    action_space = Walk.action_space
    reset, start, observe, move, step = Walk.reset, Walk.start, Walk.observe, Walk.move, Walk.step
    reward, over, info = Walk.reward, lambda self, state: jnp.abs(state.position) > 3, Walk.info


@broken("max-steps", "is a leaf")
class LeafMaxSteps(Walk):
    max_steps: int = 20


@broken("max-steps", "max_steps = 0")
class ZeroMaxSteps(Walk):
    max_steps: int = jaxrl.static(0)


@broken("max-steps", "max_steps = 20.0")
class FloatMaxSteps(Walk):
    max_steps: Any = jaxrl.static(20.0)


@broken("field-type", "must be hashable")
class UnhashableField(Walk):
    walls: Any = jaxrl.static(())

    def __post_init__(self) -> None:
        object.__setattr__(self, "walls", [1, 2])


@broken("field-type", "TextLeaf.mode = 'easy'")
class TextLeaf(Walk):
    mode: Any = "easy"


@broken("field-bounds", "must be > 0")
class NegativeLimit(Walk):
    limit: float = jaxrl.leaf(-1.0, above=0)


@broken("observation-space", "is of type method")
class ObservationSpaceMethod(Walk):
    def observation_space(self) -> Any:
        return Box(-10.0, 10.0, (2,))


@broken("leaf-traced", "observation_space with the environment's fields traced raised TracerIntegerConversionError")
class TracedObservationSpace(Walk):
    size: int = 2

    @property
    def observation_space(self) -> Any:
        return Box(-10.0, 10.0, (self.size.__index__(),))


@broken("action-space", "KeyError: 'actions'")
class RaisingActionSpace(Walk):
    @property
    def action_space(self) -> Any:
        raise KeyError("actions")


# The methods, in plain Python, compiled and batched.


@broken("raises", "step raised ZeroDivisionError")
class RaisingStep(Walk):
    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        return 1 // 0


@broken("raises", "NoReset has no reset(key)")
class NoReset(Walk):
    reset = jaxrl.Environment.reset


@broken("raises", "step raised TypeError")
class NoKey(Walk):
    def step(self, state: Any, action: Any) -> Any:
        return super().step(state, action, None)


@broken("raises", "FrozenInstanceError: cannot assign to field 'limit'")
class Assigning(Walk):
    def observe(self, state: Any) -> Any:
        self.limit = 4.0
        return super().observe(state)


@broken("raises", "action_mask raised IndexError")
class RaisingMask(Walk):
    def action_mask(self, state: Any) -> Any:
        return [][0]


kept: list[Any] = []
printed = print


@broken("side-effect", "reset keeps a traced value")
class Leaking(Walk):
    def start(self, position: Any, key: jax.Array) -> Any:
        kept.append(position)
        return super().start(position, key)


@broken("side-effect", "step set the environment's last")
class Mutating(Walk):
    def reward(self, state: Any) -> Any:
        object.__setattr__(self, "last", object())
        return super().reward(state)


@broken("prints", "step prints 'moved'")
class Printing(Walk):
    def move(self, state: Any) -> Any:
        printed("moved")
        return state


counter = [0]


@broken("impure", "reset gave two results")
class NumpyRandom(Walk):
    def start(self, position: Any, key: jax.Array) -> Any:
        return super().start(position + jnp.float32(np.random.uniform()), key)


@broken("impure", "step gave two results")
class Counting(Walk):
    def reward(self, state: Any) -> Any:
        counter[0] += 1
        return jnp.float32(counter[0])


@broken("impure", "step became two programs")
class CountingTraces(Walk):
    def reward(self, state: Any) -> Any:
        counter[0] += isinstance(state.position, jax.core.Tracer)
        return jnp.float32(counter[0])


@broken("jit-differs", "step gives other numbers")
class TracerDependent(Walk):
    def reward(self, state: Any) -> Any:
        return jnp.float32(isinstance(state.position, jax.core.Tracer))


@broken("jit", "compiling step raised TracerBoolConversionError")
class PythonBranch(Walk):
    def reward(self, state: Any) -> Any:
        return jnp.float32(1.0) if state.position > 0 else jnp.float32(0.0)


@broken("leaf-traced", "reset with the environment's fields traced")
class LeafAsShape(Walk):
    size: int = 2

    def observe(self, state: Any) -> Any:
        return jnp.full((self.size,), state.position)


@broken("leaf-traced", "building the environment with traced fields raised TracerBoolConversionError")
class CheckedLeaf(Walk):
    def __post_init__(self) -> None:
        assert self.limit > 0


@broken("vmap", "step under jax.vmap raised NotImplementedError")
class Callback(Walk):
    def reward(self, state: Any) -> Any:
        return jax.pure_callback(lambda x: x, jax.ShapeDtypeStruct((), jnp.float32), state.position)


@broken("leaf-dtype", "float32 with the fields as arrays")
class HalfObservation(Walk):
    observation_space = Box(-10.0, 10.0, (2,), jnp.float16)

    def observe(self, state: Any) -> Any:
        return super().observe(state).astype(jnp.float16) / self.limit


class Settings:
    """Compares by identity, so copies differ."""


@broken("recompiles", "a copy of the environment")
class IdentityField(Walk):
    settings: Any = jaxrl.static(Settings())


# What the methods return.


@broken("reset-return", "reset returned float32[2]")
class ObservationOnly(Walk):
    def start(self, position: Any, key: jax.Array) -> Any:
        return super().start(position, key)[1]


@broken("step-return", "a tuple of")
class GymnasiumStep(Walk):
    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        state, step = super().step(state, action, key)
        return step.obs, state, step.reward, step.terminated, {}


@broken("not-array", "reset returned 'go' at [0].key")
class TextState(Walk):
    def start(self, position: Any, key: jax.Array) -> Any:
        return super().start(position, "go")


@broken("obs-shape", "step's observation is float32[1, 2]")
class WrongShapeAtStep(Walk):
    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        state, step = super().step(state, action, key)
        return state, dataclasses.replace(step, obs=step.obs[None])


@broken("obs-shape", "reset's observation is float32[]")
class WrongShapeAtReset(Walk):
    def start(self, position: Any, key: jax.Array) -> Any:
        return WalkState(position, key), position


@broken("obs-shape", "a dict of 1 leaves")
class DictObservation(Walk):
    def observe(self, state: Any) -> Any:
        return {"position": state.position}


@broken("obs-dtype", "int32[2], not float32")
class IntegerObservation(Walk):
    def observe(self, state: Any) -> Any:
        return super().observe(state).astype(jnp.int32)


@broken("reward-shape", "reward is float32[2]")
class RewardVector(Walk):
    def reward(self, state: Any) -> Any:
        return jnp.zeros((2,), jnp.float32)


@broken("reward-dtype", "reward is int32[]")
class IntegerReward(Walk):
    def reward(self, state: Any) -> Any:
        return jnp.int32(1)


@broken("reward-dtype", "reward is bool[]")
class BoolReward(Walk):
    def reward(self, state: Any) -> Any:
        return state.position > 0


@broken("flag-shape", "terminated is bool[1]")
class FlagVector(Walk):
    def over(self, state: Any) -> Any:
        return super().over(state)[None]


@broken("flag-dtype", "terminated is int32[]")
class IntegerFlag(Walk):
    def over(self, state: Any) -> Any:
        return super().over(state).astype(jnp.int32)


@broken("info", "info['both'] is float32[2]")
class InfoVector(Walk):
    def info(self, state: Any) -> Any:
        return {"both": jnp.zeros((2,), jnp.float32)}


@broken("info", "info is None")
class NoInfo(Walk):
    def info(self, state: Any) -> Any:
        return None


@broken("state-structure", "from reset to step")
class TupleState(Walk):
    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        state, step = super().step(state, action, key)
        return (state.position, state.key), step


@broken("state-shape", "state['path'] changes from reset to step, float32[1] to float32[2]")
class GrowingState(Walk):
    def reset(self, key: jax.Array) -> Any:
        state, obs = super().reset(key)
        return {"walk": state, "path": obs[:1]}, obs

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        walk, step = super().step(state["walk"], action, key)
        return {"walk": walk, "path": jnp.concatenate([state["path"], step.obs[:1]])}, step

    def action_mask(self, state: Any) -> Any:
        return super().action_mask(state["walk"])


@broken("state-dtype", "state.position changes from reset to step, int32[] to float32[]")
class IntegerStart(Walk):
    def start(self, position: Any, key: jax.Array) -> Any:
        return WalkState(jnp.int32(position * 3), key), super().start(position, key)[1]


@broken("weak-type", "reward of step is weakly typed float32")
class PythonReward(Walk):
    def reward(self, state: Any) -> Any:
        return 1.0


@broken("weak-type", "state.time of reset is weakly typed int32")
class PythonState(Walk):
    def reset(self, key: jax.Array) -> Any:
        state, obs = super().reset(key)
        return TimedState(state, 0), obs

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        walk, step = super().step(state.walk, action, key)
        return TimedState(walk, jnp.int32(state.time + 1)), step

    def action_mask(self, state: Any) -> Any:
        return super().action_mask(state.walk)


@jaxrl.pytree
class TimedState:
    walk: Any
    time: Any


@broken("mask-space", "for the action space Box")
class MaskedBox(Push):
    def action_mask(self, state: Any) -> Any:
        return jnp.ones((1,), bool)


@broken("mask-shape", "action_mask is bool[3]")
class LongMask(Walk):
    def action_mask(self, state: Any) -> Any:
        return jnp.ones((3,), bool)


@broken("mask-dtype", "action_mask is float32[2]")
class FloatMask(Walk):
    def action_mask(self, state: Any) -> Any:
        return jnp.ones((2,), jnp.float32)


# Random numbers.


@broken("key-reused", "reset used a random key twice")
class TwiceDrawn(Walk):
    def reset(self, key: jax.Array) -> Any:
        draws = jax.random.uniform(key, (), jnp.float32) - jax.random.normal(key, (), jnp.float32)
        return self.start(draws, jax.random.key(0))


@broken("key-reused", "step, or reset and step together, used a random key twice")
class StaleKey(Walk):
    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        after, step = super().step(state, action, key)
        return WalkState(after.position, state.key), step


@broken("key-ignored", "for 8 keys")
class FixedStart(Walk):
    def reset(self, key: jax.Array) -> Any:
        return self.start(jnp.float32(0), jax.random.key(0))


# What happens in a random rollout.


@broken("obs-outside", "outside Box(low=-2.0")
class NarrowBox(Walk):
    observation_space = Box(-2.0, 2.0, (2,))


@broken("obs-not-finite", "obs between")
class LogObservation(Walk):
    observation_space = Box(shape=(2,))

    def observe(self, state: Any) -> Any:
        return jnp.stack([state.position, jnp.where(state.position > 2, jnp.inf, 0.0)])


@broken("reward-not-finite", "reward between nan and nan")
class LogReward(Walk):
    def reward(self, state: Any) -> Any:
        return jnp.log(2 - state.position)


@broken("state-nan", "random rollout")
class NanState(Walk):
    def move(self, state: Any) -> Any:
        return state

    def reset(self, key: jax.Array) -> Any:
        state, obs = super().reset(key)
        return (state, jnp.float32(0)), obs

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        walk, step = super().step(state[0], action, key)
        return (walk, jnp.sqrt(walk.position + 2)), step

    def action_mask(self, state: Any) -> Any:
        return super().action_mask(state[0])


@broken("action-outside", "action between")
class InvertedBox(Push):
    action_space = Box(1.0, -1.0, (1,))


@broken("mask-empty", "mask between 0 and 0")
class EmptyMask(Walk):
    def action_mask(self, state: Any) -> Any:
        return jnp.broadcast_to(jnp.abs(state.position) < 2, (2,))


@jaxrl.pytree
class LateDtype(Walk):
    """The Python number in reset's state hides until the second step that the state's dtype changes."""

    def reset(self, key: jax.Array) -> Any:
        state, obs = super().reset(key)
        return {"walk": state, "scale": 1.0, "half": jnp.float16(0)}, obs

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        walk, step = super().step(state["walk"], action, key)
        return {"walk": walk, "scale": jnp.float32(1), "half": state["half"] * state["scale"]}, step

    def action_mask(self, state: Any) -> Any:
        return super().action_mask(state["walk"])
