"""Exported files, read back by LiteRT and by TensorFlow: numbers, decisions, and whole games.

The policies are trained for seconds only: what is tested is whether a file plays like its policy, not how well.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.base import policy_of
from jaxrl.cli import main
from jaxrl.envs.plane_strike_score import score
from jaxrl.export import QUANTIZATIONS, ExportError, to_saved_model, to_tflite
from jaxrl.export.conversion import tflite
from jaxrl.export.model import LEAST_LOG_PROBABILITY, model_function, probabilities
from jaxrl.export.quantization import Form, is_small, quantized
from jaxrl.export.tflite_file import (
    FileAgent,
    PolicyFile,
    PolicyFileError,
    evaluate_file,
    read_metadata,
    write_metadata,
)
from jaxrl.export.tuning import round_to
from jaxrl.pytree import with_array_leaves

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")
from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: E402

DATA = Path(__file__).parents[1] / "data"
REFERENCE = DATA / "planestrike_tf.tflite"


def stored_params(path):
    params: dict[str, dict[str, np.ndarray]] = {}
    with np.load(path) as stored:
        for name in stored.files:
            layer, part = name.split(":")
            params.setdefault(layer, {})[part] = stored[name]
    return params


@pytest.fixture(scope="module")
def planes():
    """A policy trained for 5,000 updates with the preset and layers of 128, seed 0."""
    agent = jaxrl.preset("plane-strike").agent(hidden=(128, 128))
    params = stored_params(DATA / "plane_strike_policy.npz")
    return jaxrl.Member(agent, 0, 0, params, {"diverged": np.zeros(1, bool)})


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "dueling"])
def cartpole(request):
    agent = jaxrl.DQN(jaxrl.make("CartPole-v1"), dueling=request.param)
    return jaxrl.train(agent, 3000, seeds=2, progress=False)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "dueling"])
def balancer(request):
    """DQN's defaults trained for 50,000 steps (return 500), seed 0: values near 108 that differ by 0.08."""
    agent = jaxrl.DQN(jaxrl.make("CartPole-v1"), dueling=request.param)
    params = stored_params(DATA / f"cartpole_policy_{'dueling' if request.param else 'plain'}.npz")
    return jaxrl.Member(agent, 0, 0, params, {"diverged": np.zeros(1, bool)})


def scored(agent, params):
    agent = with_array_leaves(agent)
    return float(score(agent.env, policy_of(agent, params, len(agent.env.placements))))


@pytest.mark.parametrize("quantize", QUANTIZATIONS)
@pytest.mark.parametrize("batch", [1, "dynamic"])
def test_plane_strike_plays_as_well_from_the_file(quantize, batch, planes, tmp_path):
    report = to_tflite(planes, tmp_path / "planes.tflite", quantize=quantize, batch=batch)
    assert report.equal_actions >= {"none": 1.0, "int8": 0.97}.get(quantize, 0.995)
    file = PolicyFile(report.path)
    assert report.size == file.size == report.path.stat().st_size
    assert scored(FileAgent(planes.agent.env, file), ()) == pytest.approx(scored(planes.agent, planes.params), abs=0.3)
    if quantize == "none":
        assert report.greatest_difference <= 1e-5
    else:
        assert report.size < 0.65 * to_tflite(planes, tmp_path / "whole.tflite", batch=batch).size


def test_dqn_plays_the_same_from_a_file(cartpole, tmp_path):
    for member in range(2):
        report = to_tflite(cartpole, tmp_path / "cart.tflite", member=member)
        assert report.equal_actions == 1.0
        assert report.greatest_difference <= 1e-5
        file, own = PolicyFile(report.path), cartpole.member(member)
        obs = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 4)).astype(np.float32)
        np.testing.assert_allclose(file(obs), own.agent.outputs(own.params, (), obs)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("quantize", QUANTIZATIONS)
def test_cartpole_balances_from_every_file(quantize, balancer, tmp_path):
    report = to_tflite(balancer, tmp_path / "cart.tflite", quantize=quantize)
    assert report.equal_actions >= {"none": 1.0, "int8": 0.97}.get(quantize, 0.995)
    assert report.greatest_difference <= (1e-5 if quantize == "none" else 0.02)
    file = PolicyFile(report.path)
    assert evaluate_file(file, balancer.agent.env, 8).mean() >= 475
    assert file.metadata["form"] == report.form
    if quantize in ("dynamic", "int8"):
        assert report.size < 0.65 * to_tflite(balancer, tmp_path / "whole.tflite").size
    content = bytearray(report.path.read_bytes())
    content[len(content) // 2] ^= 4
    with pytest.raises(PolicyFileError, match="is damaged: it is not as it was exported"):
        PolicyFile(bytes(content))


def test_a_file_holds_the_rounded_weights_that_the_rest_was_fitted_to(balancer):
    (name,) = (layer for layer, parts in balancer.params.items() if parts["w"].size == 64 * 64)
    for weights, grid in (("int8", 127), ("float16", None)):
        form = Form(weights, "float32")
        whole = tflite(model_function(balancer.agent, balancer.params, "q-values", False), shape_of_cartpole(), False)
        content = quantized(whole, form, {})
        interpreter = Interpreter(
            model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        (detail,) = (
            d for d in interpreter.get_tensor_details() if list(d["shape"]) == [64, 64] and d["dtype"] != np.float32
        )
        interpreter.allocate_tensors()
        held = interpreter.get_tensor(detail["index"]).astype(np.float32)
        if grid:
            assert np.abs(held).max() == grid
            held *= detail["quantization_parameters"]["scales"][:, None]
        np.testing.assert_allclose(held.T, round_to(weights, balancer.params[name]["w"]), rtol=1e-5, atol=1e-7)


def shape_of_cartpole():
    return {"observation": jax.ShapeDtypeStruct((4,), np.float32)}


def test_a_network_of_small_layers_says_that_nothing_was_rounded(tmp_path):
    result = jaxrl.train(jaxrl.DQN(jaxrl.make("CartPole-v1"), hidden=(8,)), 1100, progress=False)
    report = to_tflite(result, tmp_path / "small.tflite", quantize="int8")
    assert report.form == "float32 (all layers are small)"
    assert report.greatest_difference <= 1e-5


def test_small_layers_stay_in_float():
    assert is_small(1023, 5_000)
    assert not is_small(1024, 5_000)
    assert is_small(2048, 70_000)
    assert not is_small(16_384, 118_000)


def test_a_file_that_does_not_play_like_the_policy_is_not_written(cartpole, tmp_path, monkeypatch):
    place = tmp_path / "cart.tflite"
    place.write_bytes(b"what was there")
    monkeypatch.setattr("jaxrl.export.parity.LEAST_EQUAL", {"none": 1.01})
    with pytest.raises(ExportError, match=r"chooses the policy's action in .*nothing was written"):
        to_tflite(cartpole, place)
    assert place.read_bytes() == b"what was there"
    assert [file.name for file in tmp_path.iterdir()] == ["cart.tflite"]


# The published Android app.


def app_game(file, plane):
    """One game as the app plays it: strikes the untried cell with the greatest probability above 0, else cell -1."""
    board, strikes = np.zeros((8, 8), np.float32), 0
    while (board == 1).sum() < 8:
        result = file(board[None])[0]
        best, cell = 0.0, -1
        for place in range(64):
            if board.flat[place] == 0 and result[place] > best:
                best, cell = result[place], place
        assert cell >= 0, "the app would strike cell -1"
        board.flat[cell] = 1.0 if plane.flat[cell] else -1.0
        strikes += 1
    return strikes


@pytest.mark.parametrize("quantize", QUANTIZATIONS)
def test_the_file_is_a_drop_in_for_the_app(quantize, planes, tmp_path):
    report = to_tflite(planes, tmp_path / "planes.tflite", quantize=quantize)
    ours, reference = PolicyFile(report.path), PolicyFile(REFERENCE)
    for file in (ours, reference):
        assert [(list(d["shape"]), d["dtype"]) for d in file.inputs.values()] == [([1, 8, 8], np.float32)]
        assert [(list(d["shape"]), d["dtype"]) for d in file.outputs.values()] == [([1, 64], np.float32)]
    placements = planes.agent.env.placements
    games = [app_game(ours, plane) for plane in placements]
    # The app's rule is the greedy policy that never repeats itself.
    assert np.mean(games) == pytest.approx(scored(FileAgent(planes.agent.env, ours), ()), abs=1e-4)
    if quantize == "none":
        assert np.mean([app_game(reference, plane) for plane in placements]) == pytest.approx(13.19, abs=0.005)


@pytest.mark.parametrize("quantize", QUANTIZATIONS)
def test_no_untried_cell_comes_out_as_0(quantize, planes, tmp_path, monkeypatch):
    # A policy surer of itself by far than any that was trained: a plain softmax would underflow. Parity is not
    # at stake.
    monkeypatch.setattr("jaxrl.export.parity.LEAST_EQUAL", dict.fromkeys(QUANTIZATIONS, 0.0))
    monkeypatch.setattr("jaxrl.export.parity.GREATEST_DIFFERENCE", 1.0)
    params = planes.params | {"head_0": jax.tree.map(lambda x: x * 8, planes.params["head_0"])}
    member = dataclasses.replace(planes, params=params)
    file = PolicyFile(to_tflite(member, tmp_path / "sure.tflite", quantize=quantize).path)
    boards = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (200, 8, 8), p=[0.3, 0.6, 0.1]).astype(np.float32)
    logits, _ = member.agent.outputs(params, (), boards)
    assert (np.asarray(jax.nn.softmax(logits)) == 0).any()
    assert (file(boards)[boards.reshape(200, -1) == 0] > 0).all()


def test_probabilities_are_the_policy_s_own():
    logits = jnp.asarray([1.0, 3.0, 2.0, -90.0])
    mask = jnp.asarray([True, False, True, True])
    result = np.asarray(probabilities(logits, mask), np.float64)
    np.testing.assert_allclose(result[[0, 2]], np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum(), rtol=1e-5)
    np.testing.assert_allclose(result[[1, 3]], result[2] * np.exp(LEAST_LOG_PROBABILITY), rtol=1e-4)
    np.testing.assert_allclose(probabilities(logits[:3], None), jax.nn.softmax(logits[:3]), rtol=1e-6)


# Options, and what a file says of itself.


def test_masks_as_an_input(planes, tmp_path):
    report = to_tflite(planes, tmp_path / "planes.tflite", mask=True, output="action", batch="dynamic")
    file = PolicyFile(report.path)
    assert file.takes_mask
    for cell in (5, 40):
        mask = np.zeros((3, 64), bool)
        mask[:, cell] = True
        np.testing.assert_array_equal(file(np.zeros((3, 8, 8), np.float32), mask), [cell] * 3)
    assert evaluate_file(file, planes.agent.env, 8).shape == (8,)


@pytest.mark.parametrize("output", ["logits", "action"])
def test_other_outputs(output, planes, tmp_path):
    file = PolicyFile(to_tflite(planes, tmp_path / "planes.tflite", output=output).path)
    assert file.output == output
    assert (evaluate_file(file, planes.agent.env, 8) == 8).all()


def test_a_file_carries_what_it_is(planes, tmp_path):
    path = to_tflite(planes, tmp_path / "planes.tflite", notes={"score": 12.5}).path
    metadata = PolicyFile(path).metadata
    assert metadata["environment"] == "PlaneStrike"
    assert metadata["observation"] == {"shape": [8, 8], "dtype": "float32", "low": -1.0, "high": 1.0}
    assert (metadata["output"], metadata["mask"], metadata["score"]) == (
        "probabilities",
        "read off the observation",
        12.5,
    )
    assert jaxrl.config.from_config(metadata["agent"]) == planes.agent


def test_metadata_changes_nothing_else():
    content = REFERENCE.read_bytes()
    noted = write_metadata(content, {"words": ["naïve", 1]})
    assert read_metadata(content) is None
    assert read_metadata(noted) == {"words": ["naïve", 1]}
    board = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (1, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(PolicyFile(content)(board), PolicyFile(noted)(board))
    assert PolicyFile(content).operations == PolicyFile(noted).operations


def test_a_saved_model_serves(planes, tmp_path):
    report = to_saved_model(planes, tmp_path / "served")
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    for rows in (1, 7):
        boards = np.random.default_rng(rows).choice([-1.0, 0.0, 1.0], (rows, 8, 8)).astype(np.float32)
        result = serve(observation=tf.constant(boards))["probabilities"].numpy()
        assert result.shape == (rows, 64)
        allowed = [np.asarray(planes.policy(b, mask=b.reshape(-1) == 0)) for b in boards]
        np.testing.assert_array_equal(np.argmax(np.where(boards.reshape(rows, -1) == 0, result, -1), axis=1), allowed)
    assert json.loads((tmp_path / "served" / "jaxrl.json").read_text())["environment"] == "PlaneStrike"
    assert report.equal_actions == 1.0
    to_saved_model(planes, tmp_path / "served")  # in place of the one that is there


# Bad input.


@jaxrl.pytree
class Fourier(jaxrl.DQN):
    """A policy with an operation that TFLite has not."""

    def outputs(self, params, carry, obs):
        values, carry = super().outputs(params, carry, obs)
        return values + jnp.linalg.eigh(obs[:, :, None] * obs[:, None, :])[0][:, :2], carry

    def act(self, params, carry, obs, mask=None, bits=None):
        values, carry = self.outputs(params, carry, obs)
        return jnp.argmax(values, axis=-1).astype(jnp.int32), carry, ()


def test_an_operation_that_tflite_lacks(cartpole, tmp_path):
    member = cartpole.member(0)
    fields = {f.name: getattr(member.agent, f.name) for f in dataclasses.fields(member.agent)}
    with pytest.raises(ExportError, match="TFLite lacks"):
        to_tflite(dataclasses.replace(member, agent=Fourier(**fields)), tmp_path / "x.tflite")
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments(planes, cartpole, tmp_path):
    path = tmp_path / "x.tflite"
    diverged = dataclasses.replace(planes, params=jax.tree.map(lambda x: x * np.nan, planes.params))
    for call, error, words in [
        (lambda: to_tflite(cartpole, path, member=7), IndexError, "member = 7 must be 'best', or a number from 0 to 1"),
        (lambda: to_tflite(diverged, path), ExportError, "member 0 diverged"),
        (lambda: to_tflite(planes, path, output="q-values"), ExportError, "is not of a Reinforce: it gives prob"),
        (lambda: to_tflite(planes, path, quantize="int4"), ExportError, "quantize = 'int4' must be one of none"),
        (lambda: to_tflite(planes, path, batch=3), ExportError, "batch = 3 must be 1 or 'dynamic'"),
        (lambda: to_tflite(cartpole, path, mask=True), ExportError, "mask = True, and CartPole allows every action"),
        (lambda: to_tflite("runs/x", path), TypeError, "policy = 'runs/x' must be a result"),
        (lambda: to_tflite(planes, tmp_path / "no" / "x.tflite"), OSError, "No such file"),
        (lambda: to_tflite(planes, tmp_path), ExportError, "is a folder"),
        (lambda: to_saved_model(planes, tmp_path), ExportError, "holds something else"),
    ]:
        with pytest.raises(error, match=words):
            call()
    assert list(tmp_path.iterdir()) == []


def test_bad_files(tmp_path, planes):
    (tmp_path / "text.tflite").write_text("no model")
    (tmp_path / "half.tflite").write_bytes(REFERENCE.read_bytes()[:2000])
    with pytest.raises(PolicyFileError, match="is not a TFLite file"):
        PolicyFile(tmp_path / "text.tflite")
    with pytest.raises(PolicyFileError, match="can't be read as a TFLite model"):
        PolicyFile(tmp_path / "half.tflite")
    with pytest.raises(PolicyFileError, match=r"takes float32\[8, 8\], and an observation of CartPole is float32\[4\]"):
        evaluate_file(PolicyFile(REFERENCE), jaxrl.make("CartPole-v1"), 2)


# The command line.


def test_train_export_inspect_play(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--iterations", "30", "--hidden", "32", "--out", "run", "--no-progress"]
    assert main(["train", "reinforce", "--env", "PlaneStrike-v0", *words]) == 0
    assert main(["export", "run", "planes.tflite", "--quantize", "float16", "--member", "0"]) == 0
    assert "equal greedy actions" in capsys.readouterr().out
    assert main(["inspect", "planes.tflite"]) == 0
    output = capsys.readouterr().out
    assert all(
        word in output for word in ("float32[1, 8, 8]", "SOFTMAX x 1", "read off the observation", "greedy return")
    )
    assert main(["evaluate", "planes.tflite", "--env", "PlaneStrike-v0"]) == 0
    assert "exact score, mean strikes over all 120 placements" in capsys.readouterr().out
    assert main(["evaluate", str(REFERENCE), "--env", "PlaneStrike-v0"]) == 0
    assert "13.19" in capsys.readouterr().out
    for wrong in (
        ["evaluate", "planes.tflite"],
        ["evaluate", "planes.tflite", "--env", "CartPole-v1"],
        ["evaluate", "run", "--env", "CartPole-v1"],
        ["export", "run", "x.tflite", "--member", "9"],
        ["export", "run", "no/x.tflite"],
        ["export", "nowhere", "x.tflite"],
        ["export", "run", "x.tflite", "--output", "q-values"],
        ["inspect", "run/config.json"],
        ["inspect", "missing.tflite"],
    ):
        assert main(wrong) == 2, wrong
        assert capsys.readouterr().err.count("\n") == 1, wrong


def test_without_the_extra_the_error_says_what_to_install(planes, tmp_path):
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from jaxrl.export.conversion import tensorflow\n"
        "try: tensorflow()\nexcept ImportError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'jaxrl[export]'" in result.stdout
