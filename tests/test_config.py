"""Configurations: through JSON and back exactly, clear errors, readable differences."""

import dataclasses
import json
import subprocess
import sys
import textwrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.dqn import DQN
from jaxrl.config import differences, from_config, named_modules, to_config
from jaxrl.spaces import Box
from jaxrl.trust import Trust


def through_json(value):
    return from_config(json.loads(json.dumps(to_config(value), allow_nan=False)))


@pytest.fixture
def agent():
    return DQN(jaxrl.make("CartPole-v1", length=0.1 + 0.2), learning_rate=1 / 3, hidden=(32, 16))


def test_an_agent_with_its_environment_comes_back_equal(agent):
    config = to_config(agent)
    assert config["class"] == "jaxrl.agents.dqn.DQN"
    assert config["fields"]["env"]["class"] == "jaxrl.envs.cartpole.CartPole"
    assert config["fields"]["env"]["fields"]["length"] == 0.1 + 0.2
    assert config["fields"]["hidden"] == [32, 16]
    back = through_json(agent)
    assert back == agent
    assert hash(jax.tree.structure(back)) == hash(jax.tree.structure(agent))


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            True,
            0,
            -(2**70),
            1e-310,
            0.1,
            1.0,
            -0.0,
            "text",
            (),
            (1, (2.0, None)),
            [1, [2]],
            {"dict": {"a": (1,)}},
        ),
        *(float("inf"), -float("inf")),
    ],
)
def test_plain_values_come_back_exactly(value):
    back = through_json(value)
    assert (type(back), repr(back)) == (type(value), repr(value))


def test_nan_comes_back():
    assert np.isnan(through_json(float("nan")))


@pytest.mark.parametrize(
    "value",
    [
        *(np.float32(0.1), np.float64(0.1), np.int64(2**62), np.bool_(True), np.uint8(255)),
        np.array([[0.1, np.inf], [-np.inf, np.nan]], np.float32),
        np.zeros((2, 0, 3), np.int16),
        np.array([1e300, 5e-324]),
        jnp.array([0.1, np.inf, 1e-40], jnp.float32),
        jnp.array([0.1, 3.0], jnp.bfloat16),
        jnp.array([[True, False]]),
        *(jnp.asarray(3.0), jnp.full((2,), 2), jnp.float32(3.0)),
    ],
    ids=repr,
)
def test_arrays_come_back_exactly_as_numpys(value):
    back = through_json(value)
    assert isinstance(back, np.ndarray if value.ndim else np.generic)
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert np.asarray(back).tobytes() == np.asarray(value).tobytes()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.bool_, np.int32, np.dtype("uint8"), float], ids=repr)
def test_dtypes_come_back_as_the_same_object(dtype):
    assert through_json(Box(0, 1, (2,), dtype)).dtype is dtype


@pytest.mark.parametrize("value", [lambda x: x, object(), {1: 2}, 1j, np.array(["a"]), jax.random.key(0)])
def test_what_is_not_plain_data_is_refused_with_its_field(value):
    with pytest.raises(TypeError, match=r"Box\.low"):
        to_config(Box(value))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("jaxrl.agents.dqn.DQM", r"no class 'DQM' \(did you mean 'DQN'\?\)"),
        ("jaxrl.agents.dqm.DQN", r"no module 'jaxrl.agents.dqm' \(did you mean 'dqn'\?\)"),
        ("nowhere_at_all.Agent", r"If you trust it, add trust=\['nowhere_at_all'\]"),
        ("jaxrl.\x1b[2J.Agent", r"class jaxrl\.\\x1b\[2J\.Agent can't be imported"),
        ("tests.test_config.f.<locals>.Agent", "can't be imported: define it in a module"),
        ("__main__.Vanished", "can't be imported.*define it in a module"),
        ("os.system", "os.system is no class made by jaxrl.pytree"),
        ("subprocess.Popen", "subprocess.Popen is no class made by jaxrl.pytree"),
        ("jaxrl.pytree.Bounds", "is no class made by jaxrl.pytree"),
        ("builtins.int", "is no class made by jaxrl.pytree"),
        ("", "can't be imported"),
        ("..", "can't be imported"),
    ],
)
def test_only_pytree_dataclasses_are_loaded(path, message):
    with pytest.raises(ValueError, match=message):
        from_config({"class": path, "fields": {}})


def test_a_trusted_module_that_is_not_there():
    with pytest.raises(ValueError, match="there is no module 'nowhere_at_all'"):
        from_config({"class": "nowhere_at_all.Agent", "fields": {}}, Trust(("nowhere_at_all",)))


def test_the_modules_of_a_configuration(agent):
    assert named_modules(to_config((agent, {"x": [jaxrl.Discrete(2)]}))) == {
        *("jaxrl.agents.dqn", "jaxrl.envs.cartpole", "jaxrl.spaces")
    }


def test_fields_are_checked_by_name(agent):
    config = to_config(agent)
    fields = config["fields"]
    with pytest.raises(ValueError, match=r"DQN has no field 'learning_rat' \(did you mean 'learning_rate'\?\)"):
        from_config({**config, "fields": {**fields, "learning_rat": 1}})
    with pytest.raises(ValueError, match="lacks the field 'env'"):
        from_config({**config, "fields": {key: value for key, value in fields.items() if key != "env"}})
    without = {key: value for key, value in fields.items() if key != "discount"}
    assert from_config({**config, "fields": without}) == agent
    with pytest.raises(ValueError, match="batch_size"):
        from_config({**config, "fields": {**fields, "batch_size": 0}})


@pytest.mark.parametrize("data", [{}, {"x": 1}, {"float": None}, {"dtype": "f99", "of": "jax"}, {"array": 3}, object()])
def test_foreign_data_is_refused(data):
    with pytest.raises(ValueError, match="no configuration by jaxrl"):
        from_config({"class": "jaxrl.spaces.Box", "fields": {"low": data}})


def test_classes_of_functions_are_stored_but_not_loaded():
    @jaxrl.pytree
    class Local:
        value: Any = 1.0

    with pytest.raises(ValueError, match=r"class .*Local can't be imported: define it in a module"):
        from_config(to_config(Local()))


def test_classes_of_a_script_load_in_the_same_script_only():
    script = """
        import json, sys, jaxrl
        from jaxrl.config import from_config, to_config
        @jaxrl.pytree
        class Mine:
            value: float = 2.0
            @jaxrl.pytree
            class Inner:
                value: float = 3.0
        assert from_config(to_config((Mine(), Mine.Inner()))) == (Mine(), Mine.Inner())
        print(json.dumps(to_config(Mine())))
    """
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    ).stdout
    with pytest.raises(ValueError, match=r"__main__\.Mine can't be imported.*define it in a module"):
        from_config(json.loads(output))


def test_differences_are_named(agent):
    config = to_config(agent)
    assert differences(config, json.loads(json.dumps(config))) == []
    other = dataclasses.replace(agent, learning_rate=0.002, env=dataclasses.replace(agent.env, length=1.0))
    first = to_config(dataclasses.replace(agent, learning_rate=0.001))
    assert differences(first, to_config(other)) == [
        f"DQN.env.length: {0.1 + 0.2!r} there, 1.0 here",
        "DQN.learning_rate: 0.001 there, 0.002 here",
    ]
    other = dataclasses.replace(agent, env=jaxrl.make("PlaneStrike-v0"), hidden=(32,))
    assert differences(config, to_config(other)) == [
        "DQN.env: jaxrl.envs.cartpole.CartPole there, jaxrl.envs.plane_strike.PlaneStrike here",
        "DQN.hidden: (32, 16) there, (32,) here",
    ]


def test_differences_of_dicts_around_configurations(agent):
    there = {"agent": to_config(agent), "vary": to_config({"discount": np.array([0.9, 1.0])}), "log_points": 100}
    here = {"agent": to_config(agent), "vary": to_config({"discount": np.array([0.9, 0.5])}), "seeds": [0]}
    assert differences(there, here) == [
        "vary.discount: float64 [0.9, 1.0] there, float64 [0.9, 0.5] here",
        "log_points: 100 there, missing here",
        "seeds: missing there, (0,) here",
    ]
    assert differences({"a": 1}, {"a": 1.0}) == ["a: 1 there, 1.0 here"]
    assert differences({"a": to_config(float("inf"))}, {"a": None}) == ["a: inf there, None here"]
    assert len(differences({"a": list(range(10_000))}, {"a": []})[0]) < 150


@jaxrl.pytree
class OnlyStatic:
    """No field of it is a leaf."""

    width: int = jaxrl.static(default=3)


def test_a_dataclass_with_static_fields_alone_comes_back():
    assert from_config(to_config(OnlyStatic(width=5))) == OnlyStatic(width=5)
