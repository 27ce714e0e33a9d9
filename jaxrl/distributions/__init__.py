"""What the outputs of a policy's network mean: distributions over actions, sampled by random bits.

All of them have the interface of `Distribution`. Their arrays may have any leading axes, and a joint density over the
action's dimensions, its last axis, is summed over them.
"""

from jaxrl.distributions.base import Distribution
from jaxrl.distributions.continuous import Gaussian, SquashedGaussian, autoregressive, autoregressive_noise
from jaxrl.distributions.discrete import (
    Categorical,
    EpsilonGreedy,
    MultiCategorical,
    allowed_actions,
    categorical,
    masked,
    persistent,
)

__all__ = [
    "Categorical",
    "Distribution",
    "EpsilonGreedy",
    "Gaussian",
    "MultiCategorical",
    "SquashedGaussian",
    "allowed_actions",
    "autoregressive",
    "autoregressive_noise",
    "categorical",
    "masked",
    "persistent",
]
