"""Training on environments with the common mistakes, without `check_env`: refused with the remedy, before compiling."""

import dataclasses
import random
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import a2c, cart_pole, dqn, ppo, reinforce, train
from tiny_environments import Walk

import jaxrl
from jaxrl.cli import main
from jaxrl.env_checker import CODES, EnvironmentCheckError, check_environment

REMEDY = {code: remedy for code, (_, remedy) in CODES.items()}


pytestmark = pytest.mark.usefixtures("never_compiled")


class Plain(jaxrl.Environment):
    """Not decorated at all."""

    max_steps = 5
    observation_space, action_space = jaxrl.Box(shape=(2,)), jaxrl.Discrete(2)
    reset, step = Walk.reset, Walk.step


class Undecorated(Walk):
    """A subclass of a decorated class, not decorated again."""

    wind: float = 1.0


@jaxrl.pytree
class AppendsToState(Walk):
    def reset(self, key: Any) -> Any:
        state, obs = super().reset(key)
        return [state], obs

    def step(self, state: Any, action: Any, key: Any) -> Any:
        following, step = super().step(state[0], action, key)
        state.append(following)
        return state, step

    def action_mask(self, state: Any) -> Any:
        return super().action_mask(state[0])


@jaxrl.pytree
class WritesIntoState(AppendsToState):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        state[0], step = Walk.step(self, state[0], action, key)
        return state, step


@jaxrl.pytree
class ObservationMethod(Walk):
    def observation_space(self) -> Any:
        return jaxrl.Box(shape=(2,))


@jaxrl.pytree
class ActionMethod(Walk):
    def action_space(self) -> Any:
        return jaxrl.Discrete(2)


@jaxrl.pytree
class NumberOfActions(Walk):
    action_space = 2


@jaxrl.pytree
class ShapeOfObservations(Walk):
    observation_space = (2,)


@jaxrl.pytree
class RaisingSpace(Walk):
    @property
    def action_space(self) -> Any:
        raise RuntimeError("no actions today\nsecond line")


@jaxrl.pytree
class RaisingStep(Walk):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        raise RuntimeError("out of order")


@jaxrl.pytree
class NumpyRandom(Walk):
    def reset(self, key: Any) -> Any:
        return self.start(jnp.float32(np.random.rand()), key)


@jaxrl.pytree
class NumpyArrayRandom(Walk):
    def observe(self, state: Any) -> Any:
        return super().observe(state) + np.random.default_rng().random(2).astype(np.float32)


@jaxrl.pytree
class PythonRandom(Walk):
    def reward(self, state: Any) -> Any:
        return jnp.float32(random.random())


@jaxrl.pytree
class TimeOfDay(Walk):
    def reward(self, state: Any) -> Any:
        return jnp.float32(time.perf_counter_ns() % 10**6)


@jaxrl.pytree
class NothingAllowed(Walk):
    def action_mask(self, state: Any) -> Any:
        return jnp.abs(jnp.stack([state.position] * 2)) > 5


@jaxrl.pytree
class PythonBranch(Walk):
    def reward(self, state: Any) -> Any:
        return jnp.float32(1 if state.position > 0 else 0)


@jaxrl.pytree
class LeafAsLength(Walk):
    size: int = 2

    def observe(self, state: Any) -> Any:
        return jnp.full((self.size,), state.position)


@jaxrl.pytree
class GymnasiumStep(Walk):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        state, step = super().step(state, action, key)
        return step.obs, step.reward, step.terminated, False, {}


@jaxrl.pytree
class TextInState(Walk):
    def reset(self, key: Any) -> Any:
        return "go", super().reset(key)[1]


MISTAKES = [
    (Plain, "not-pytree", "Plain is not registered as a pytree"),
    (Undecorated, "not-pytree", "Undecorated is not registered as a pytree"),
    (AppendsToState, "mutates", "step changed what it was given"),
    (WritesIntoState, "mutates", "step changed what it was given"),
    (ObservationMethod, "observation-space", "observation_space is of type method"),
    (ActionMethod, "action-space", "action_space is of type method"),
    (NumberOfActions, "action-space", "action_space is of type int"),
    (ShapeOfObservations, "observation-space", "observation_space is of type tuple"),
    (RaisingSpace, "action-space", "action_space raised RuntimeError: no actions today"),
    (RaisingStep, "raises", "step raised RuntimeError: out of order"),
    (NumpyRandom, "impure", "reset became two programs"),
    (NumpyArrayRandom, "impure", "reset became two programs"),
    (PythonRandom, "impure", "step became two programs"),
    (TimeOfDay, "impure", "step became two programs"),
    (NothingAllowed, "mask-empty", "the mask after reset allows no action"),
    (PythonBranch, "jit", "tracing step raised TracerBoolConversionError"),
    (LeafAsLength, "leaf-traced", "reset with the environment's fields traced raised"),
    (GymnasiumStep, "step-return", "step returned a tuple of"),
    (TextInState, "not-array", "reset returned 'go' at [0]"),
]


@pytest.mark.parametrize(("env", "code", "seen"), MISTAKES, ids=[env.__name__ for env, *_ in MISTAKES])
@pytest.mark.parametrize("build", [dqn, ppo], ids=["dqn", "ppo"])
def test_a_common_mistake_is_named_with_its_remedy(build: Any, env: Any, code: str, seen: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        train(build(env=env()))
    assert seen in str(caught.value)
    assert REMEDY[code] in str(caught.value)


@pytest.mark.parametrize("build", [reinforce, a2c], ids=["reinforce", "a2c"])
def test_the_other_agents_refuse_them_too(build: Any) -> None:
    with pytest.raises(EnvironmentCheckError, match="mutates"):
        train(build(env=WritesIntoState()))


def test_sweeps_refuse_them_too() -> None:
    with pytest.raises(EnvironmentCheckError, match="impure"):
        jaxrl.sweep(dqn(env=NumpyRandom()), {"discount": [0.9, 0.99]}, steps=120, seeds=1, progress=False)


class UndecoratedAgent(jaxrl.DQN):
    """Without a field."""


class UndecoratedAgentWithFields(jaxrl.DQN):
    """With one."""

    extra: float = 1.0


class BareAgent(jaxrl.Agent):
    """No dataclass."""

    env = cart_pole()


@pytest.mark.parametrize("cls", [UndecoratedAgent, UndecoratedAgentWithFields])
def test_an_agent_that_is_not_decorated(cls: Any) -> None:
    fields = {field.name: getattr(dqn(), field.name) for field in dataclasses.fields(jaxrl.DQN)}
    with pytest.raises(TypeError, match=rf"{cls.__name__} is not registered as a pytree: decorate .* @jaxrl\.pytree"):
        train(cls(**fields))


def test_an_agent_that_is_no_dataclass() -> None:
    with pytest.raises(TypeError, match=r"BareAgent is not registered as a pytree: decorate"):
        train(BareAgent())


SPACE = """
import jax.numpy as jnp, jaxrl
from tiny_environments import Walk

@jaxrl.pytree
class Broken(Walk):
    @property
    def {space}(self):
        raise KeyError("missing\\nline")
"""


@pytest.mark.parametrize("space", ["action_space", "observation_space"])
def test_on_the_command_line_it_is_one_line(space: str, tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    (tmp_path / f"module_with_broken_{space}.py").write_text(SPACE.format(space=space))
    monkeypatch.chdir(tmp_path)
    assert main(["train", "dqn", "--env", f"module_with_broken_{space}:Broken", "--no-progress"]) == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert f"{space} raised KeyError" in output
    assert REMEDY[space.replace("_", "-")] in output


def test_good_environments_pass_and_soon() -> None:
    for name in ("CartPole-v1", "Pendulum-v1", "PlaneStrike-v0", "TMaze-v0"):
        check_environment(jaxrl.make(name))
    begin = time.perf_counter()
    for name in ("CartPole-v1", "PlaneStrike-v0"):
        check_environment(jaxrl.make(name))  # Known already: nothing is traced.
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: jaxrl.Box(0, 1, 3), r"Box\.shape = 3 must be a tuple of whole numbers"),
        (lambda: jaxrl.Box(0, 1, (-1,)), r"Box\.shape = \(-1,\) must be >= 0"),
        (lambda: jaxrl.Box(0, 1, (2.5,)), r"Box\.shape = \(2\.5,\) must be a tuple"),
        (lambda: jaxrl.Box(0, 1, (1,), "wide"), r"Box\.dtype = 'wide' must be a dtype"),
        (lambda: jaxrl.Discrete(2.5), r"Discrete\.n = 2\.5 must be a whole number"),
        (lambda: jaxrl.Discrete(2**31), r"Discrete\.n = 2147483648 must be at most"),
    ],
)
def test_spaces_are_checked_where_they_are_made(build: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        build()


def test_tracing_twice_leaves_no_trace() -> None:
    env = cart_pole()
    check_environment(env)
    assert jax.tree.all(jax.tree.map(np.array_equal, env, cart_pole()))
