"""Wrappers: environments that hold an environment, and change one thing about it."""

from jaxrl.wrappers.actions import ActionRepeat, DiscretizeAction, RescaleAction, StickyAction
from jaxrl.wrappers.base import (
    ObservationWrapper,
    RewardWrapper,
    StatefulWrapper,
    Wrapper,
    WrapperState,
    innermost,
)
from jaxrl.wrappers.by_name import WRAPPERS, make_wrapper
from jaxrl.wrappers.history import FrameStack, TimeAware
from jaxrl.wrappers.observations import FlattenObservation, ObservationMask, RescaleObservation, TransformObservation
from jaxrl.wrappers.rewards import ClipReward, DelayedReward, ScaleReward, TransformReward
from jaxrl.wrappers.shaping import PotentialShaping

__all__ = [
    "WRAPPERS",
    "ActionRepeat",
    "ClipReward",
    "DelayedReward",
    "DiscretizeAction",
    "FlattenObservation",
    "FrameStack",
    "ObservationMask",
    "ObservationWrapper",
    "PotentialShaping",
    "RescaleAction",
    "RescaleObservation",
    "RewardWrapper",
    "ScaleReward",
    "StatefulWrapper",
    "StickyAction",
    "TimeAware",
    "TransformObservation",
    "TransformReward",
    "Wrapper",
    "WrapperState",
    "innermost",
    "make_wrapper",
]
