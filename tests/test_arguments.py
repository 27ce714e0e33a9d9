"""Arguments of functions that users call: wild numbers and wrong objects are named before anything else happens."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import a2c, cart_pole, dqn, ppo, train

import jaxrl
from jaxrl import arguments
from jaxrl.validation import check_values

pytestmark = pytest.mark.usefixtures("fast_compilation")
HUGE = 10**5000
"""More digits than Python writes out."""


@pytest.fixture(scope="module")
def result() -> jaxrl.Result:
    return train(seeds=2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (HUGE, f"an int of {HUGE.bit_length()} bits"),
        ("x" * 100, "'" + "x" * 56 + "..."),
        (np.zeros((2, 3)), "array([[0., 0., 0.], [0., 0., 0.]])"),
        (np.zeros(100), "array([0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0...."),
    ],
    ids=arguments.shown,
)
def test_values_are_shown_short_and_without_fail(value: Any, text: str) -> None:
    assert arguments.shown(value) == text


def test_an_object_that_can_t_be_shown_is_shown_by_its_type() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError

    assert arguments.shown(Shy()) == "a Shy"


NUMBERS = [10**30, 2**63, 2**64, HUGE]
COUNTS = ("log_points", "block_size", "memory_limit", "evaluation_episodes", "steps", "seeds", "devices")


@pytest.mark.parametrize("value", NUMBERS, ids=["1e30", "2^63", "2^64", "digits"])
@pytest.mark.parametrize("name", [*COUNTS, "iterations", "evaluate_every"])
def test_counts_beyond_64_bits(name: str, value: int, never_compiled: None) -> None:
    given = {"steps": None} if name == "iterations" else {}
    with pytest.raises(ValueError, match=rf"{name} = .* (must be|are more than|is more than)"):
        train(**{**given, name: value})


@pytest.mark.parametrize("value", [[2**63], [2**64, 1], [HUGE]], ids=["2^63", "2^64", "digits"])
def test_seeds_beyond_64_bits(value: Any, never_compiled: None) -> None:
    with pytest.raises(ValueError, match="seeds must be between 0 and 4294967294"):
        train(seeds=value)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"checkpoint_seconds": float("inf")}, ValueError, "checkpoint_seconds = inf must be a finite number"),
        ({"checkpoint_seconds": HUGE}, ValueError, "checkpoint_seconds = an int of .* must be a finite number"),
        ({"progress": "no"}, TypeError, "progress = 'no' must be True or False"),
        ({"resume": 3}, TypeError, "resume = 3 must be True or False"),
        ({"out": 3}, TypeError, r"out = 3 must be a path: text such as 'runs/first', or a pathlib\.Path"),
        ({"out": b"runs"}, TypeError, "out = b'runs' must be a path"),
        ({"out": ["runs"]}, TypeError, r"out = \['runs'\] must be a path"),
        ({"out": ""}, ValueError, "out = '' must name a file or a folder"),
        ({"out": "a\0b"}, ValueError, "must name a file or a folder"),
        ({"out": "a" * 300}, ValueError, "must be shorter: a name has at most 255 bytes"),
        ({"vary": {3: [1, 2]}}, TypeError, "vary has the leaf 3, and leaves are named by text"),
        ({"vary": {None: [1, 2]}}, TypeError, "vary has the leaf None"),
        ({"vary": {("learning_rate",): [1, 2]}}, TypeError, r"vary has the leaf \('learning_rate',\)"),
        ({"vary": {"learning_rate": [HUGE, 1]}}, ValueError, "learning_rate = .* must be > 0 and finite"),
        ({"vary": {"learning_rate": [1j, 2]}}, TypeError, "must be numbers of shape"),
    ],
    ids=arguments.shown,
)
def test_wrong_arguments_of_train(given: Any, error: Any, words: str, never_compiled: None, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        train(**{"seeds": 2, **given})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("agent", "name"),
    [(dqn, "learning_rate"), (dqn, "discount"), (dqn, "tau"), (ppo, "gae_lambda"), (a2c, "value_cost")],
)
def test_none_where_a_field_may_not_be(agent: Any, name: str, never_compiled: None) -> None:
    with pytest.raises(TypeError, match=rf"\.{name} = None must be one number"):
        train(agent(**{name: None}))


@pytest.mark.parametrize("name", ["average_share", "max_grad_norm", "huber_delta"])
def test_none_where_a_field_may_be(name: str) -> None:
    check_values(dqn(**{name: None}))


@pytest.mark.parametrize("name", ["batch_size", "buffer_size", "num_envs", "target_period", "learning_starts"])
@pytest.mark.parametrize("value", [2**31, 10**12, HUGE], ids=["2^31", "1e12", "digits"])
def test_fields_beyond_32_bits(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"DQN\.{name} = .* must be at most 2,147,483,647"):
        dqn(**{name: value})


@pytest.mark.parametrize("value", [10**39, HUGE], ids=["1e39", "digits"])
def test_a_rate_that_no_float32_holds(value: int, never_compiled: None) -> None:
    with pytest.raises(ValueError, match=r"DQN\.learning_rate = .* must be > 0 and finite|must be finite"):
        train(dqn(learning_rate=value))


def test_whole_numbers_may_stand_for_real_ones() -> None:
    check_values(dqn(epsilon_decay_steps=10**30))


@pytest.mark.parametrize("other", [None, 3, "runs/first", jaxrl, [1], {}], ids=str)
def test_evaluating_what_is_no_result(other: Any) -> None:
    with pytest.raises(TypeError, match=r"result = .* must be a result of jaxrl\.train or jaxrl\.load"):
        jaxrl.evaluate(other)


def test_evaluating_a_member_or_parameters(result: jaxrl.Result) -> None:
    for other in (result.member(0), result.params, [result]):
        with pytest.raises(TypeError, match=r"result = .* must be a result"):
            jaxrl.evaluate(other)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"episodes": 10**30}, ValueError, "episodes = 1000.* must be at most"),
        ({"episodes": HUGE}, ValueError, "episodes = an int of .* must be at most"),
        ({"seed": -1}, ValueError, "seed = -1 must be at least 0"),
        ({"seed": 2**32}, ValueError, "seed = 4294967296 must be at most 4294967295"),
        ({"seed": HUGE}, ValueError, "seed = an int of .* must be at most 4294967295"),
        ({"seed": 1.0}, TypeError, r"seed = 1\.0 must be a whole number"),
        ({"block_size": 2**64}, ValueError, "block_size = 18446744073709551616 must be at most"),
    ],
    ids=arguments.shown,
)
def test_wrong_arguments_of_evaluate(given: Any, error: Any, words: str, result: jaxrl.Result) -> None:
    with pytest.raises(error, match=words):
        jaxrl.evaluate(result, **given)


# Policies.

OBS = np.zeros(4)


@pytest.mark.parametrize(
    ("obs", "given", "error", "words"),
    [
        (OBS, {"mask": [True]}, ValueError, r"mask has shape \(1,\), and must have one flag for each of the 2 actions"),
        (OBS, {"mask": [[True, True]]}, ValueError, r"mask has shape \(1, 2\)"),
        (OBS, {"mask": [False, False]}, ValueError, "mask allows no action: at least one of its flags must be True"),
        (OBS, {"mask": [np.nan, 1]}, TypeError, "mask = .*nan.* must be True or False for each of the 2 actions"),
        (OBS, {"mask": [2, 0]}, TypeError, "must be True or False"),
        (OBS, {"mask": "ab"}, TypeError, "mask = 'ab' must be True or False"),
        (OBS, {"key": 3}, TypeError, r"key = 3 must be a random key, such as jax\.random\.key\(0\)"),
        (OBS, {"key": "x"}, TypeError, "key = 'x' must be a random key"),
        (OBS, {"key": jnp.zeros(3)}, TypeError, "must be a random key"),
        (
            OBS,
            {"key": jax.random.split(jax.random.key(0), 2)},
            ValueError,
            r"key has shape \(2,\), and must be one key",
        ),
        (np.full(4, np.nan), {}, ValueError, "obs = .*nan.* must be finite"),
        ([np.inf] * 4, {}, ValueError, "obs = .*inf.* must be finite"),
        ([1e300] * 4, {}, ValueError, r"obs = .*1e\+300.* must be finite"),
        ([HUGE] * 4, {}, ValueError, "obs = .* must be finite"),
        ([1, 2], {}, ValueError, r"obs has shape \(2,\), and one observation has shape \(4,\)"),
        (OBS[None], {}, ValueError, r"obs has shape \(1, 4\)"),
        (None, {}, TypeError, "obs = None must be an array or nested lists of numbers"),
        ("abcd", {}, TypeError, "obs = 'abcd' must be an array"),
        ({"position": 1}, {}, TypeError, "must be an array"),
        (OBS + 1j, {}, TypeError, "must be an array"),
    ],
    ids=arguments.shown,
)
def test_wrong_arguments_of_a_policy(obs: Any, given: Any, error: Any, words: str, result: jaxrl.Result) -> None:
    with pytest.raises(error, match=words):
        result.member(0).policy(obs, **given)


def test_right_arguments_of_a_policy(result: jaxrl.Result) -> None:
    policy = result.member(0).policy
    assert int(policy(OBS, mask=[0, 1])) == 1
    assert int(policy(OBS.tolist(), mask=np.array([True, False]))) == 0
    key = jax.random.key(3)
    assert int(policy(OBS, key=key)) == int(policy(OBS, key=jax.random.key_data(key)))


@pytest.mark.parametrize("index", ["a", None, 1.5, True])
def test_a_member_is_named_by_a_whole_number(index: Any, result: jaxrl.Result) -> None:
    with pytest.raises(TypeError, match=r"index = .* must be a whole number"):
        result.member(index)


# Checks, devices, folders.


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"steps": 10**30}, ValueError, "steps = 1000.* must be at most"),
        ({"steps": 2.5}, TypeError, r"steps = 2\.5 must be a whole number"),
        ({"steps": True}, TypeError, "steps = True must be a whole number"),
        ({"seed": -1}, ValueError, "seed = -1 must be at least 0"),
        ({"seed": HUGE}, ValueError, "seed = an int of .* must be at most 4294967295"),
        ({"seed": "a"}, TypeError, "seed = 'a' must be a whole number"),
        ({"raise_errors": np.zeros(2)}, TypeError, "raise_errors = array.* must be True or False"),
    ],
    ids=arguments.shown,
)
def test_wrong_arguments_of_check_env(given: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        jaxrl.check_env(cart_pole(), **given)


@pytest.mark.parametrize("cores", [10**30, 2.5, "a", True, 0])
def test_wrong_numbers_of_cores(cores: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"cores = .* must be"):
        jaxrl.use_cpu_cores(cores)


@pytest.mark.parametrize("path", [3, None, ["a"], "", "a\0b"])
def test_wrong_paths(path: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"path = .* must"):
        jaxrl.load(path)


# Files.


@pytest.mark.parametrize(
    ("fields", "episodes", "words"),
    [
        ({"hit_reward": float("nan")}, 2, r"PlaneStrike\.hit_reward = .*nan.* must be finite"),
        ({}, 99_999_999_999, "episodes = 99999999999 must be at most 2147483647"),
        ({}, 2**31 - 1, r"episodes = 2147483647 played side by side need .* MiB"),
    ],
)
def test_a_file_is_played_by_ordinary_numbers_only(fields: Any, episodes: int, words: str) -> None:
    pytest.importorskip("ai_edge_litert")
    from jaxrl.envs import PlaneStrike
    from jaxrl.export.tflite_file import PolicyFile, evaluate_file

    file = PolicyFile(Path(__file__).parent / "data" / "planestrike_tf.tflite")
    with pytest.raises(ValueError, match=words):
        evaluate_file(file, PlaneStrike(**fields), episodes)
