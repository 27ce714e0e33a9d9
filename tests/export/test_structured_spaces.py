"""Files of policies whose observations are made of several arrays, and that choose several actions at once."""

import jax
import numpy as np
import pytest
from export_helpers import decided
from structured_environments import LockedPanel, Panel, parts

import jaxrl
from jaxrl.cli import main
from jaxrl.export import ExportError, to_saved_model, to_tflite
from jaxrl.export.tflite_file import PolicyFile, PolicyFileError, evaluate_file

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")

INPUTS = ["observation_dial", "observation_lamps_0", "observation_lamps_1"]


def panel(**fields):
    return decided(jaxrl.PPO(Panel(), hidden=(16,), **fields))


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_file_takes_each_array_by_name(quantize, tmp_path):
    member = panel()
    report = to_tflite(member, tmp_path / "panel.tflite", quantize=quantize)
    assert report.output == "action"
    assert report.equal_actions >= (1.0 if quantize == "none" else 0.97)
    file = PolicyFile(report.path)
    assert sorted(file.inputs) == INPUTS
    assert [entry["input"] for entry in file.metadata["observation"]] == INPUTS
    assert file.metadata["actions"] == [3, 2]
    samples = Panel().observation_space.sample(jax.random.key(0), (40,))
    chosen = np.stack([member.policy(jax.tree.map(lambda x, i=i: x[i], samples)) for i in range(40)])
    assert len(np.unique(chosen, axis=0)) > 2
    equal = np.all(file(samples) == chosen, axis=1)
    assert equal.mean() >= (1.0 if quantize == "none" else 0.95)


def test_a_file_with_memory_plays_like_the_policy(tmp_path):
    member = panel(memory="gru", memory_size=8)
    report = to_tflite(member, tmp_path / "panel.tflite", batch="dynamic")
    assert report.equal_actions_along == 1.0
    file = PolicyFile(report.path)
    assert sorted(file.inputs) == ["carry_0", *INPUTS]
    assert evaluate_file(file, Panel(), 8).shape == (8,)


def test_a_saved_model_takes_each_array_by_name(tmp_path):
    member = panel()
    report = to_saved_model(member, tmp_path / "saved")
    serve = tf.saved_model.load(str(report.path)).signatures["serving_default"]
    assert sorted(serve.structured_input_signature[1]) == INPUTS
    sample = Panel().observation_space.sample(jax.random.key(0), (5,))
    columns = [sample["dial"], *sample["lamps"]]
    given = serve(**{name: tf.constant(np.asarray(x)) for name, x in zip(INPUTS, columns, strict=True)})
    chosen = np.stack([member.policy(jax.tree.map(lambda x, i=i: x[i], sample)) for i in range(5)])
    np.testing.assert_array_equal(given["action"].numpy(), chosen)


def test_probabilities_of_an_observation_in_parts(tmp_path):
    member = decided(jaxrl.PPO(parts("CartPole-v1"), hidden=(8,)))
    file = PolicyFile(to_tflite(member, tmp_path / "parts.tflite", output="probabilities").path)
    obs = {"first": np.zeros(3, np.float32), "rest": (np.ones((3, 3), np.float32),)}
    np.testing.assert_allclose(file(obs).sum(axis=1), 1, rtol=1e-6)


def test_a_file_obeys_the_mask_of_several_choices(tmp_path):
    env = LockedPanel()
    member = decided(jaxrl.PPO(env, hidden=(16,)))
    report = to_tflite(member, tmp_path / "locked.tflite", mask=True)
    assert report.equal_actions == 1.0
    file = PolicyFile(report.path)
    assert sorted(file.inputs) == ["mask", *INPUTS]
    obs = env.observation_space.sample(jax.random.key(0), (40,))
    mask = np.asarray(jax.vmap(env.action_mask)(obs))
    played, free = file(obs, mask), file(obs, np.ones_like(mask))
    rows = np.arange(40)
    assert mask[rows, played[:, 0]].all()
    assert mask[rows, 3 + played[:, 1]].all()
    assert (played != free).any()
    assert evaluate_file(file, env, 8).min() >= 0  # A forbidden action costs 100.


def test_what_does_not_fit_is_refused(tmp_path, capsys):
    member = panel()
    with pytest.raises(ExportError, match="the actions of Panel are several whole numbers, and it gives action"):
        to_tflite(member, tmp_path / "panel.tflite", output="logits")
    with pytest.raises(ExportError, match="mask = True, and Panel allows every action always"):
        to_tflite(member, tmp_path / "panel.tflite", mask=True)
    path = to_tflite(member, tmp_path / "panel.tflite").path
    with pytest.raises(PolicyFileError, match=r"must have one input|takes observation_dial float32\[\]"):
        PolicyFile(path).check_fits(jaxrl.make("CartPole-v1"))
    with pytest.raises(PolicyFileError, match="choose the environment that it was trained in"):
        PolicyFile(path).check_fits(parts("CartPole-v1"))
    assert main(["inspect", str(path)]) == 0
    assert "observation_lamps_1" in capsys.readouterr().out
