"""What `check_env` can find, and the report of what it found."""

import dataclasses

ERROR, WARNING = "error", "warning"

CODES: dict[str, tuple[str, str]] = {
    # The class, its fields and its spaces.
    "not-environment": (ERROR, "pass an instance of a subclass of jaxrl.Environment"),
    "not-pytree": (ERROR, "decorate the class with @jaxrl.pytree (every subclass needs it again)"),
    "max-steps": (ERROR, "declare the most steps of an episode: max_steps: int = jaxrl.static(default=500, minimum=1)"),
    "field-type": (ERROR, "fields that are not numbers must be hashable and declared with jaxrl.static"),
    "field-bounds": (ERROR, "build the environment with a value inside the field's bounds"),
    "observation-space": (
        ERROR,
        "make observation_space a property that returns a jaxrl.Box, Discrete, MultiDiscrete, Dict or Tuple",
    ),
    "action-space": (ERROR, "make action_space a property that returns a jaxrl.Discrete, MultiDiscrete or Box"),
    # The methods, in plain Python, compiled and batched.
    "raises": (ERROR, "call it yourself for the traceback; what changes during an episode belongs in the state"),
    "side-effect": (ERROR, "keep nothing between calls: return everything that changes in the state"),
    "mutates": (ERROR, "build a new list or dict, as in [*state, item] or {**state, name: value}: what is changed in "
                "place stays changed from trace to trace"),
    "prints": (WARNING, "compiled code prints once, while it is traced: use jax.debug.print, or take the print out"),
    "impure": (ERROR, "draw random numbers with jax.random from the key alone, and read no state but the given one"),
    "jit": (ERROR, "replace Python's if by jnp.where or lax.cond, its loops by lax.fori_loop, numpy by jax.numpy"),
    "jit-differs": (WARNING, "let the result depend on nothing but the arguments and use jax.numpy throughout"),
    "leaf-traced": (ERROR, "declare what sets a shape, a loop or a Python branch with jaxrl.static (all other fields "
                    "are traced), and let __post_init__ look at static fields only"),
    "vmap": (ERROR, "use functions that can be batched; give jax.pure_callback a vmap_method"),
    "recompiles": (WARNING, "give objects in static fields __eq__ and __hash__ by value"),
    # What the methods return.
    "reset-return": (ERROR, "return the pair (state, observation)"),
    "step-return": (ERROR, "return the pair (state, jaxrl.TimeStep(obs, reward, terminated, truncated, info))"),
    "not-array": (ERROR, "hold only arrays and numbers, in tuples, dicts or classes decorated with @jaxrl.pytree"),
    "obs-structure": (ERROR, "return arrays in the structure of observation_space, or correct observation_space"),
    "obs-shape": (ERROR, "return one array with the shape of observation_space, or correct observation_space"),
    "obs-dtype": (ERROR, "cast with .astype(self.observation_space.dtype), or correct observation_space"),
    "reward-shape": (ERROR, "return one number, f32[]: sum over what is too many"),
    "reward-dtype": (ERROR, "cast with jnp.float32(...)"),
    "flag-shape": (ERROR, "return one bool[]: combine with jnp.any or jnp.all"),
    "flag-dtype": (ERROR, "return a bool[], as comparisons do, or cast with .astype(bool)"),
    "info": (ERROR, "return a dict from str to scalars, with the same names at every step"),
    "state-structure": (ERROR, "return the same class with the same fields and static values at every step"),
    "state-shape": (ERROR, "keep shapes fixed: reserve the largest size and count what is filled"),
    "state-dtype": (ERROR, "cast to one dtype in reset and in step"),
    "weak-type": (WARNING, "name the dtype, as in jnp.float32(0) or .astype(jnp.float32): weakly typed numbers, as "
                  "Python's are, change type along the way and cause silent recompilation"),
    "mask-space": (ERROR, "return None, or make action_space a jaxrl.Discrete or MultiDiscrete: others have no masks"),
    "mask-shape": (ERROR, "return one bool for each action: bool[action_space.n], or bool[sum(action_space.counts)]"),
    "mask-dtype": (ERROR, "return bool: True where the action is allowed"),
    # Random numbers.
    "key-reused": (ERROR, "use a key once: key, draw_key = jax.random.split(key), and store the unused one, if any"),
    "key-ignored": (WARNING, "draw the start from the key, unless every episode is meant to start the same"),
    # What happens in a random rollout.
    "obs-outside": (ERROR, "widen observation_space (jaxrl.Box() has no bounds), or clip the observation"),
    "obs-not-finite": (ERROR, "guard divisions, logarithms and roots, and end the episode before numbers overflow"),
    "reward-not-finite": (ERROR, "guard divisions, logarithms and roots in the reward"),
    "state-nan": (ERROR, "guard divisions, logarithms and roots where the state is computed"),
    "action-outside": (ERROR, "correct action_space: low must not be above high, and its dtype must hold both"),
    "mask-empty": (ERROR, "allow at least one action (of each choice), or return terminated=True in the step before"),
    "resets-itself": (WARNING, "return the last state and observation of the episode: the engine resets, and learning "
                      "needs the true successor"),
    "action-forbidden": (ERROR, "draw one of the actions that action_mask allows, or take random_action out"),
}  # fmt: skip
"""Every code that a finding can have, with its severity and what to do about it."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong: a stable code, "error" or "warning", and a message for people."""

    code: str
    severity: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity} [{self.code}] {self.message}"


@dataclasses.dataclass(frozen=True)
class EnvironmentReport:
    """What `check_env` found.

    Attributes:
      environment: the name of the environment's class.
      findings: in the order of the checks.
      skipped: the checks that could not run because of an earlier finding.
    """

    environment: str
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that training can't live with."""
        return tuple(finding for finding in self.findings if finding.severity == ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that may be meant so."""
        return tuple(finding for finding in self.findings if finding.severity == WARNING)

    def __str__(self) -> str:
        counts = f"{len(self.errors)} errors, {len(self.warnings)} warnings"
        lines = [f"{self.environment}: {counts if self.findings else 'nothing found'}"]
        lines += [f"  {finding}" for finding in self.findings]
        if self.skipped:
            lines.append(f"  not checked because of the above: {', '.join(self.skipped)}")
        return "\n".join(lines)


class EnvironmentCheckError(ValueError):
    """An environment fails its contract; `report` is the whole `EnvironmentReport`."""

    def __init__(self, report: EnvironmentReport):
        super().__init__(str(report))
        self.report = report
