"""What adapters say where a library is missing, or has no such thing; none needs to be installed."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import jaxrl
from jaxrl.adapters.spaces import action_space_of
from jaxrl.registry import LIBRARIES


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_missing_library_names_the_extra(library, monkeypatch):
    monkeypatch.setitem(sys.modules, {"playground": "mujoco_playground"}.get(library, library), None)
    with pytest.raises(ImportError, match=re.escape(f'pip install "jaxrl[{library}]"')):
        jaxrl.make(f"{library}:Anything-v0")


class MultiBinary(SimpleNamespace):
    pass


def test_a_missing_library_for_the_other_direction_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ImportError, match=re.escape('pip install "jaxrl[gymnasium]"')):
        jaxrl.adapters.gymnasium_env("CartPole-v1")
    with pytest.raises(ImportError, match=re.escape('pip install "jaxrl[stable-baselines3]"')):
        jaxrl.adapters.stable_baselines3_env("CartPole-v1", 2)


def test_an_unsupported_space_is_named_with_a_remedy():
    space = MultiBinary(n=2, shape=(2,), dtype=np.int8)
    with pytest.raises(ValueError, match=r"cube has the action space MultiBinary.*number its combinations in one"):
        action_space_of(space, "cube")


def test_a_discrete_space_must_begin_at_0():
    space = SimpleNamespace(n=3, start=1, shape=())
    with pytest.raises(ValueError, match="does not begin at 0: subtract its start"):
        action_space_of(space, "cube")


def test_several_actions_at_once():
    assert action_space_of(SimpleNamespace(nvec=np.array([2, 3])), "cube") == jaxrl.MultiDiscrete((2, 3))
