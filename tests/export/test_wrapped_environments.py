"""Files of policies that were trained in wrapped environments."""

import pytest
from small_runs import cart_pole, dqn, train

from jaxrl.cli import main
from jaxrl.wrappers import FrameStack, ScaleReward

pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")


@pytest.mark.usefixtures("fast_compilation")
def test_files_say_what_they_were_trained_in_and_play_there(tmp_path, capsys):
    from jaxrl.export import to_tflite

    env = FrameStack(ScaleReward(cart_pole(), scale=0.5), k=2)
    report = to_tflite(train(dqn(env=env)).member(0), tmp_path / "a.tflite")
    assert main(["inspect", str(report.path)]) == 0
    output = capsys.readouterr().out
    assert "FrameStack(ScaleReward(CartPole))" in output
    assert "Push the cart left" in output
    words = ["evaluate", str(report.path), "--env", "CartPole-v1", "--env-parameter", "max_steps=20", "--episodes", "3"]
    assert main([*words, "--wrap", "ScaleReward:scale=0.5", "--wrap", "FrameStack:k=2"]) == 0
    assert main(words) == 2
    assert "takes float32[2, 4], and an observation of CartPole is float32[4]" in capsys.readouterr().err
