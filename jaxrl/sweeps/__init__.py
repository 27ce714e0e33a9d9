"""Thousands of configurations times seeds, in few compilations, that survive a crash."""

from jaxrl.sweeps.folder import SweepFolder
from jaxrl.sweeps.planning import SweepPlan, plan_sweep
from jaxrl.sweeps.result import Sweep, Trial
from jaxrl.sweeps.space import Distribution, SpaceError, choice, integers, log_uniform, uniform
from jaxrl.sweeps.sweeping import load, sweep

__all__ = [
    "Distribution",
    "SpaceError",
    "Sweep",
    "SweepFolder",
    "SweepPlan",
    "Trial",
    "choice",
    "integers",
    "load",
    "log_uniform",
    "plan_sweep",
    "sweep",
    "uniform",
]
