"""The arguments of a training run, checked by kind and passed on as one."""

import dataclasses
from typing import Any

from jaxrl.arguments import positive
from jaxrl.periodic_evaluation import EvaluationPlan


@dataclasses.dataclass(frozen=True, eq=False)
class TrainConfig:
    """How long, with which members and on what an agent is trained; as `jaxrl.train` describes them.

    Attributes:
      steps, iterations: one of them, the other None.
      seeds: a number of members, or a list of seeds.
      vary: values for leaves in which members differ, by path, or None.
      log_points: rows of the log.
      evaluation: between rows of the log, or None.
      block_size, devices, memory_limit: None for what suits, for all, and for what is free.
      stored: whether the run is kept on disk, which takes memory for copies of a block.
      keep_all: whether all trained members stay in memory, or only the block under way.

    Raises:
      TypeError, ValueError: a size is no positive whole number.
    """

    steps: int | None = None
    iterations: int | None = None
    seeds: Any = 1
    vary: dict[str, Any] | None = None
    log_points: int = 100
    evaluation: EvaluationPlan | None = None
    block_size: int | None = None
    devices: int | None = None
    memory_limit: int | None = None
    stored: bool = False
    keep_all: bool = True

    def __post_init__(self) -> None:
        for name in ("block_size", "devices", "memory_limit"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, positive(name, getattr(self, name)))
