"""Files of policies with memory: the carry is an explicit input and output, and comes to the same as in the agent."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from export_helpers import decided

import jaxrl
from jaxrl.cli import main
from jaxrl.evaluation import evaluation_key, greedy_returns
from jaxrl.export import ExportError, to_saved_model, to_tflite
from jaxrl.export.conversion import tflite
from jaxrl.export.parity import Comparison, Subject
from jaxrl.export.quantization import Form, quantized
from jaxrl.export.tflite_file import FileAgent, PolicyFile, PolicyFileError, evaluate_file
from jaxrl.pytree import with_array_leaves

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")

CASES = [("MemoryChain-v0", jaxrl.PPO), ("PendulumNoVelocity-v1", jaxrl.PPO), ("MemoryChain-v0", jaxrl.DRQN)]


@pytest.fixture(scope="module")
def member():
    """Makes members, by environment, kind of cell, and algorithm."""
    made = {}

    def make(env, memory="gru", size=16, algorithm=jaxrl.PPO):
        key = (env, memory, size, algorithm)
        if key not in made:
            made[key] = decided(algorithm(jaxrl.make(env), hidden=(size,), memory=memory, memory_size=size))
        return made[key]

    return make


@pytest.fixture(scope="module")
def exported(member, tmp_path_factory):
    """Writes files, by environment, kind of cell, and algorithm."""
    folder, written = tmp_path_factory.mktemp("exported"), {}

    def write(env, memory="gru", algorithm=jaxrl.PPO):
        key = (env, memory, algorithm)
        if key not in written:
            path = folder / f"{algorithm.__name__}-{env}-{memory}.tflite"
            written[key] = to_tflite(member(env, memory, algorithm=algorithm), path)
        return written[key]

    return write


@pytest.mark.parametrize("memory", ["gru", "lstm"])
@pytest.mark.parametrize(("env", "algorithm"), CASES)
def test_an_episode_step_by_step(env, algorithm, memory, member, exported):
    own, report = member(env, memory, algorithm=algorithm), exported(env, memory, algorithm)
    assert report.equal_actions == report.equal_actions_along == 1.0
    assert report.greatest_difference <= 1e-5
    assert report.greatest_difference_along <= 1e-4
    file = PolicyFile(report.path)
    carries = [f"carry_{i}" for i in range({"gru": 1, "lstm": 2}[memory])]
    assert set(file.inputs) == {"observation", *carries}
    assert set(file.outputs) == {report.output.replace("-", "_"), *(f"next_{name}" for name in carries)}
    own_carry, carry = own.initial_carry(), file.initial_carry(1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        obs = rng.uniform(-1, 1, own.agent.env.observation_space.shape).astype(np.float32)
        action, own_carry = own.act(obs, own_carry)
        output, carry = file.outputs_and_carry(carry, obs[None])
        if report.output == "action":
            np.testing.assert_allclose(output[0], action, atol=1e-4)
        else:
            assert np.argmax(output[0]) == action
        for mine, theirs in zip(own_carry, carry, strict=True):
            np.testing.assert_allclose(theirs[0], mine, atol=1e-5)
    assert np.abs(carry[0]).max() > 0.1


@pytest.mark.parametrize(("env", "algorithm"), CASES)
def test_a_file_earns_what_the_member_does(env, algorithm, member, exported):
    own = member(env, algorithm=algorithm)
    agent = with_array_leaves(own.agent)
    wanted = jax.jit(lambda key: greedy_returns(agent, own.params, key, 8))(evaluation_key(0))
    returns = evaluate_file(PolicyFile(exported(env, algorithm=algorithm).path), agent.env, 8)
    np.testing.assert_allclose(returns, wanted, rtol=1e-2, atol=1e-3)


def test_members_of_files_side_by_side(member, exported):
    own = member("PendulumNoVelocity-v1")
    agent = FileAgent(own.agent.env, PolicyFile(exported("PendulumNoVelocity-v1").path))
    obs = np.random.default_rng(0).uniform(-1, 1, (3, 5, 2)).astype(np.float32)
    carry = (jnp.linspace(-1, 1, 15).reshape(3, 5, 1) + jnp.zeros((3, 5, 16)),)
    actions, following, _ = jax.jit(jax.vmap(lambda c, o: agent.act((), c, o)))(carry, obs)
    assert actions.shape == (3, 5, 1)
    for i in range(3):
        action, (after,), _ = own.agent.act(own.params, (carry[0][i],), obs[i])
        np.testing.assert_allclose(actions[i], action, atol=1e-4)
        np.testing.assert_allclose(following[0][i], after, atol=1e-5)


def test_a_file_that_forgets_is_found_out(member):
    subject = Subject(member("PendulumNoVelocity-v1"), "action", False)
    compare, function = Comparison(subject), jax.jit(subject.function(subject.member.params))

    def right(carry, obs, mask):
        given = function(obs, *carry)
        return np.asarray(given["action"]), (np.asarray(given["next_carry_0"]),)

    def forgetful(carry, obs, mask):
        output, following = right(carry, obs, mask)
        return output, tuple(map(np.zeros_like, following))

    compare(right).require("none", "action")
    parity = compare(forgetful)
    assert parity.equal == 1.0  # Step by step, with the carry of the policy, the outputs are right.
    assert not parity.suffices("int8")
    with pytest.raises(ExportError, match=r"chooses the policy's action in .* nothing was written"):
        parity.require("none", "action")
    parity = dataclasses.replace(parity, along=dataclasses.replace(parity.along, equal=1.0, difference=0.1))
    with pytest.raises(ExportError, match=r"action differ by 0.1 along whole episodes, and may by 0.0001"):
        parity.require("none", "action")


@jaxrl.pytree
class Primed(jaxrl.PPO):
    """Begins episodes with another carry than zeros."""

    def initial_carry(self, batch):
        (zeros,) = super().initial_carry(batch)
        return (zeros + jnp.arange(zeros.shape[1]) / zeros.shape[1],)


def test_the_metadata_say_what_an_episode_begins_with(exported, tmp_path):
    (entry,) = PolicyFile(exported("MemoryChain-v0").path).metadata["carry"]
    assert entry == {
        "input": "carry_0",
        "output": "next_carry_0",
        "shape": [16],
        "dtype": "float32",
        "initial": 0.0,
    }
    primed = decided(Primed(jaxrl.make("MemoryChain-v0"), hidden=(16,), memory="gru", memory_size=4))
    file = PolicyFile(to_tflite(primed, tmp_path / "primed.tflite", batch="dynamic").path)
    assert file.metadata["carry"][0]["initial"] == [0.0, 0.25, 0.5, 0.75]
    np.testing.assert_array_equal(file.initial_carry(2)[0], primed.agent.initial_carry(2)[0])
    _, (following,) = file.outputs_and_carry(file.initial_carry(5), np.zeros((5, 3), np.float32))
    _, (wanted,) = primed.act(np.zeros(3), primed.initial_carry())
    np.testing.assert_allclose(following, np.tile(wanted, (5, 1)), atol=1e-5)


@pytest.mark.parametrize(
    ("quantize", "memory", "env", "algorithm"),
    [
        ("float16", "gru", "PendulumNoVelocity-v1", jaxrl.PPO),
        ("dynamic", "lstm", "PendulumNoVelocity-v1", jaxrl.PPO),
        ("int8", "gru", "PendulumNoVelocity-v1", jaxrl.PPO),
        ("int8", "gru", "MemoryChain-v0", jaxrl.DRQN),
    ],
)
def test_quantized_memory(quantize, memory, env, algorithm, member, tmp_path):
    own = member(env, memory, 32, algorithm)
    report = to_tflite(own, tmp_path / "small.tflite", quantize=quantize)
    least = {"int8": 0.97}.get(quantize, 0.995)
    assert min(report.equal_actions, report.equal_actions_along) >= least
    assert report.form.startswith("float16" if quantize == "float16" else "int8")
    numbers = {d["dtype"] for d in PolicyFile(report.path)._interpreter.get_tensor_details() if len(d["shape"]) == 2}
    assert (np.float16 if quantize == "float16" else np.int8) in numbers


@pytest.mark.parametrize("arithmetic", ["int8", "int16"])
def test_a_carry_that_quantized_layers_read_comes_out_in_float(arithmetic, member):
    own = member("MemoryChain-v0", size=64)  # Its recurrent layer and the one after it are both quantized.
    subject = Subject(own, "logits", False)
    steps = subject.columns(subject.play(128, seed=0).spread(128))
    whole = tflite(subject.function(own.params), subject.inputs, False)
    content = quantized(whole, Form("int8", arithmetic), steps)
    file, plain = PolicyFile(content), PolicyFile(whole)
    for name, detail in file.outputs.items():
        assert (detail["dtype"], list(detail["shape"])) == (np.float32, list(plain.outputs[name]["shape"]))
    carry, obs = (steps["carry_0"],), steps["observation"]
    _, (following,) = file.outputs_and_carry(carry, obs)
    np.testing.assert_allclose(following, plain.outputs_and_carry(carry, obs)[1][0], atol=0.05)


def test_a_mask_and_a_carry(tmp_path):
    own = decided(jaxrl.PPO(jaxrl.make("PlaneStrike-v0"), hidden=(16,), memory="gru", memory_size=8))
    file = PolicyFile(to_tflite(own, tmp_path / "planes.tflite", mask=True, batch="dynamic").path)
    assert file.takes_mask
    assert set(file.inputs) == {"observation", "mask", "carry_0"}
    mask = np.zeros((3, 64), bool)
    mask[:, 7] = True
    output, _ = file.outputs_and_carry(file.initial_carry(3), np.zeros((3, 8, 8), np.float32), mask)
    np.testing.assert_array_equal(np.argmax(output, axis=1), [7] * 3)
    assert evaluate_file(file, own.agent.env, 4).shape == (4,)


@pytest.mark.parametrize(("algorithm", "output"), [(jaxrl.PPO, "probabilities"), (jaxrl.DRQN, "q_values")])
def test_a_saved_model_with_memory(algorithm, output, member, tmp_path):
    own = member("MemoryChain-v0", "lstm", algorithm=algorithm)
    report = to_saved_model(own, tmp_path / "served")
    assert report.equal_actions_along == 1.0
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    zeros = tf.zeros((7, 16))
    given = serve(observation=tf.ones((7, 3)), carry_0=zeros, carry_1=zeros)
    assert {name: tuple(x.shape) for name, x in given.items()} == {
        output: (7, 2),
        "next_carry_0": (7, 16),
        "next_carry_1": (7, 16),
    }
    _, carry = own.act(np.ones(3, np.float32), own.initial_carry())
    np.testing.assert_allclose(given["next_carry_1"][0], carry[1], atol=1e-5)
    metadata = json.loads((tmp_path / "served" / "jaxrl.json").read_text())
    assert [entry["input"] for entry in metadata["carry"]] == ["carry_0", "carry_1"]


def test_a_carry_that_does_not_fit(exported):
    file = PolicyFile(exported("MemoryChain-v0", "lstm").path)
    with pytest.raises(PolicyFileError, match="takes a carry of 2 arrays, and 0 were given: begin with initial_carry"):
        file.outputs_and_carry((), np.zeros((1, 3), np.float32))
    file.outputs["next_carry_1"] = file.outputs["next_carry_0"] | {"shape_signature": [1, 5]}
    with pytest.raises(PolicyFileError, match=r"takes carry_1 of shape \[16\], and gives next_carry_1 of shape \[5\]"):
        file.check_fits(jaxrl.make("MemoryChain-v0"))
    del file.outputs["next_carry_1"]
    with pytest.raises(PolicyFileError, match=r"has the inputs .*carry_1.* and the outputs"):
        file.check_fits(jaxrl.make("MemoryChain-v0"))


def test_export_inspect_and_evaluate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--iterations", "2", "--hidden", "8", "--memory", "gru", "--memory-size", "8", "--out", "run"]
    assert main(["train", "ppo", "--env", "MemoryChain-v0", *words, "--no-progress"]) == 0
    assert main(["export", "run", "chain.tflite", "--member", "0"]) == 0
    assert "equal greedy actions, along episodes" in capsys.readouterr().out
    assert main(["inspect", "chain.tflite"]) == 0
    output = capsys.readouterr().out
    output = " ".join(output.replace("│", " ").split())
    for text in ("carry_0: float32[1, 8]", "next_carry_0: float32[1, 8]", "at the start of an episode 0.0"):
        assert text in output
    assert main(["evaluate", "chain.tflite", "--env", "MemoryChain-v0", "--episodes", "4"]) == 0
    assert "greedy return, mean" in capsys.readouterr().out
    assert main(["evaluate", "chain.tflite", "--env", "Pendulum-v1"]) == 2
