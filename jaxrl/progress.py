"""One progress bar for a whole run, drawn by jax-tqdm.

The bar's steps are compiled into a separate program, called whenever a log point is
finished. So the training program holds no callback: it may run on several devices (where the
ordered callbacks of jax-tqdm are refused), be resumed in the middle, and be kept by JAX's
persistent compilation cache (which skips programs with callbacks).
"""

import jax
import jax.numpy as jnp

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix[0]}]"


class _Note:
    """Text at the end of the bar, read whenever the bar is drawn."""

    text = ""

    def __str__(self) -> str:
        return self.text

    def __format__(self, spec: str) -> str:
        return self.text


class Progress:
    """A bar over log point, with the environment steps that were taken, over all members."""

    def __init__(self, log_points: int, description: str) -> None:
        from jax_tqdm import PBar, loop_tqdm  # Not with jaxrl, whose import it would lengthen by a tenth.

        self._log_points = log_points
        self._done = 0
        self._steps = 0.0
        self._seconds = 0.0
        self._note = _Note()
        bar = loop_tqdm(
            log_points, print_rate=1, desc=description, bar_format=_FORMAT, postfix=[self._note], dynamic_ncols=True
        )
        self._tick = jax.jit(bar(lambda log_point, carry: carry))
        self._carry = PBar(id=jnp.int32(0), carry=jnp.int32(0))

    def advance(self, log_points: int, steps: float, seconds: float, mean_return: float) -> None:
        """Moves the bar on.

        Args:
          log_points: that were finished.
          steps: environment steps in them.
          seconds: that they took.
          mean_return: of the episodes that ended in them; NaN where none did.
        """
        self._steps += steps
        self._seconds += seconds
        self._note.text = f", {self._steps:,.0f} steps, {self._steps / max(self._seconds, 1e-9):,.0f} steps/s"
        if mean_return == mean_return:
            self._note.text += f", return {mean_return:.4g}"
        for _ in range(log_points):
            if self._done < self._log_points:
                jax.block_until_ready(self._tick(jnp.int32(self._done), self._carry))
            self._done += 1
        jax.effects_barrier()


class Bar:
    """A progress bar that is drawn from the first step on, when it is known what was done before."""

    def __init__(self, log_points: int, description: str, drawn: bool) -> None:
        """Prepares a bar over so many log point, all blocks together."""
        self.drawn = drawn
        self._log_points = log_points
        self._description = description
        self._progress: Progress | None = None

    def skip(self, log_points: int) -> None:
        """Takes log points out that are done already."""
        self._log_points -= log_points

    def advance(self, log_points: int, steps: float, seconds: float, mean_return: float) -> None:
        """As `Progress.advance`."""
        if self.drawn:
            self._progress = self._progress or Progress(max(self._log_points, 1), self._description)
            self._progress.advance(log_points, steps, seconds, mean_return)
