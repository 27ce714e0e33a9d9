"""What agents and environments of one's own must keep, told before a folder is made."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from small_runs import cart_pole, dqn, train

import jaxrl


@jaxrl.pytree
class Talkative(jaxrl.DQN):
    """Measures more than it says."""

    def iterate(self, state: Any, clock: Any) -> Any:
        state, metrics = super().iterate(state, clock)
        return state, metrics | {"extra": metrics["loss"]}


@jaxrl.pytree
class Silent(jaxrl.DQN):
    """Neither says nor measures how many steps it takes."""

    metrics = ("episode_return", "episode_length", "loss")

    def iterate(self, state: Any, clock: Any) -> Any:
        state, metrics = super().iterate(state, clock)
        return state, {name: metrics[name] for name in self.metrics}


@jaxrl.pytree
class Growing(jaxrl.DQN):
    """Gives another state than it takes."""

    def iterate(self, state: Any, clock: Any) -> Any:
        state, metrics = super().iterate(state, clock)
        return dataclasses.replace(state, replay=None), metrics


SMALL = {"hidden": (8,), "batch_size": 4, "buffer_size": 64, "learning_starts": 8}


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (Talkative, r"Talkative\.metrics = .*'loss'\) must name .*iterate measures, which is .*'extra'"),
        (Silent, r"Silent\.metrics = .* must have \('steps', "),
        (Growing, r"Growing\.iterate gives the state .*replay=None.* and must keep"),
    ],
)
def test_an_agent_of_ones_own_keeps_what_it_says(agent: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        train(agent(cart_pole(), **SMALL), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_space_may_be_of_a_class_of_ones_own() -> None:
    class Angles(jaxrl.Box):
        pass

    @jaxrl.pytree
    class Leaning(jaxrl.envs.CartPole):
        @property
        def observation_space(self) -> jaxrl.Box:
            return Angles(shape=(4,))

    assert train(dqn(env=Leaning(max_steps=20))).complete
