"""Environments by name: what is registered and made, and what is refused."""

import subprocess
import sys
from typing import Any

import jax
import pytest
from tiny_environments import Walk

import jaxrl
from jaxrl import arguments, registry

pytestmark = pytest.mark.usefixtures("fast_compilation")
HUGE = 10**5000
"""More digits than Python writes out."""


@pytest.fixture
def registered() -> Any:
    registry.names()
    before = dict(registry._factories)
    yield
    registry._factories.clear()
    registry._factories.update(before)


@pytest.mark.parametrize(
    ("name", "factory", "error", "words"),
    [
        (3, Walk, TypeError, "name = 3 must be text"),
        (None, Walk, TypeError, "name = None must be text"),
        ("", Walk, ValueError, "name = '' must be text without a colon"),
        ("walk:v0", Walk, ValueError, "name = 'walk:v0' must be text without a colon"),
        ("walk", 3, TypeError, r"factory = 3 must be a subclass of jaxrl\.Environment"),
        ("walk", Walk(), TypeError, "factory = Walk.* must be a subclass"),
        ("walk", jaxrl.DQN, TypeError, "must be a subclass"),
        ("CartPole-v1", Walk, ValueError, "'CartPole-v1' is taken"),
    ],
    ids=arguments.shown,
)
def test_a_registration_that_would_spoil_the_register(
    name: Any, factory: Any, error: Any, words: str, registered: None
) -> None:
    with pytest.raises(error, match=words):
        jaxrl.register(name, factory)
    assert jaxrl.make("CartPole-v1").max_steps == 500


def test_a_name_of_jaxrl_s_own_is_taken_before_it_is_first_used() -> None:
    code = "import jaxrl; jaxrl.register('CartPole-v1', type('Mine', (jaxrl.Environment,), {}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "the environment name 'CartPole-v1' is taken: register under another name" in result.stderr


def test_a_registration_with_an_unknown_parameter(registered: None) -> None:
    with pytest.raises(ValueError, match=r"walk has no parameter 'limt'.*did you mean 'limit'"):
        jaxrl.register("walk", Walk, limt=3)


@pytest.mark.parametrize(
    ("name", "parameters", "error", "words"),
    [
        (3, {}, TypeError, "name = 3 must be the name of an environment"),
        (["CartPole-v1"], {}, TypeError, "must be the name of an environment"),
        (
            "json:loads",
            {},
            TypeError,
            "'json:loads' can't be made by <function loads.*missing a required argument: 's'",
        ),
        ("json:JSONDecoder", {}, ValueError, r"must be a subclass of jaxrl\.Environment"),
        ("builtins:int", {}, ValueError, "must be a subclass"),
        ("os:getcwd", {}, ValueError, "made '.*', and must make a jaxrl.Environment"),
        (".json:loads", {}, ValueError, "can't be imported"),
        (":x", {}, ValueError, "can't be imported"),
        ("CartPole-v1", {"length": float("nan")}, ValueError, r"CartPole\.length = nan must be > 0"),
        ("CartPole-v1", {"length": float("inf")}, ValueError, r"CartPole\.length = inf must be > 0 and finite"),
        ("CartPole-v1", {"length": -1}, ValueError, r"CartPole\.length = -1 must be > 0"),
        ("CartPole-v1", {"length": None}, TypeError, r"CartPole\.length = None must be one number"),
        ("CartPole-v1", {"length": "long"}, TypeError, r"CartPole\.length = 'long' must be a number"),
        ("CartPole-v1", {"gravity": HUGE}, ValueError, r"CartPole\.gravity = .* must be finite"),
        ("CartPole-v1", {"max_steps": 10**30}, ValueError, r"CartPole\.max_steps = .* must be at most 2,147,483,647"),
    ],
    ids=arguments.shown,
)
def test_what_can_t_be_made(name: Any, parameters: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        jaxrl.make(name, **parameters)


def test_an_environment_may_be_made_with_traced_numbers() -> None:
    length = jax.jit(lambda length: jaxrl.make("CartPole-v1", length=length).length)(0.25)
    assert float(length) == 0.25
