"""Thousands of configurations times seeds, in few compilations, that survive a crash."""

from jaxrl.sweeps.api import load, sweep
from jaxrl.sweeps.config import SweepConfig
from jaxrl.sweeps.folder import SweepFolder
from jaxrl.sweeps.plan import SweepPlan, plan_sweep
from jaxrl.sweeps.space import Distribution, SpaceError, choice, integers, log_uniform, uniform
from jaxrl.sweeps.sweep import Sweep, Trial

__all__ = [
    "Distribution",
    "SpaceError",
    "Sweep",
    "SweepConfig",
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
