"""One progress bar for a whole run, drawn by jax-tqdm.

The bar's steps are compiled into a program of their own, called whenever a slot of the log is
finished. So the training program holds no callback: it may run on several devices (where the
ordered callbacks of jax-tqdm are refused), be resumed in the middle, and be kept by JAX's
persistent compilation cache (which skips programs with callbacks).
"""

import jax
import jax.numpy as jnp

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix[0]}]"


class _Note:
    """Text at the end of the bar, read anew whenever the bar is drawn."""

    text = ""

    def __str__(self) -> str:
        return self.text

    def __format__(self, spec: str) -> str:
        return self.text


class Progress:
    """A bar over slots of the log, with the environment steps that were taken, over all members."""

    def __init__(self, slots: int, description: str) -> None:
        from jax_tqdm import PBar, loop_tqdm  # Not with jaxrl, whose import it would lengthen by a tenth.

        self._slots = slots
        self._done = 0
        self._steps = 0.0
        self._seconds = 0.0
        self._note = _Note()
        bar = loop_tqdm(
            slots, print_rate=1, desc=description, bar_format=_FORMAT, postfix=[self._note], dynamic_ncols=True
        )
        self._tick = jax.jit(bar(lambda slot, carry: carry))
        self._carry = PBar(id=jnp.int32(0), carry=jnp.int32(0))

    def advance(self, slots: int, steps: float, seconds: float, mean_return: float) -> None:
        """Moves the bar on.

        Args:
          slots: that were finished.
          steps: environment steps in them.
          seconds: that they took.
          mean_return: of the episodes that ended in them; NaN where none did.
        """
        self._steps += steps
        self._seconds += seconds
        self._note.text = f", {self._steps:,.0f} steps, {self._steps / max(self._seconds, 1e-9):,.0f} steps/s"
        if mean_return == mean_return:
            self._note.text += f", return {mean_return:.4g}"
        for _ in range(slots):
            if self._done < self._slots:
                jax.block_until_ready(self._tick(jnp.int32(self._done), self._carry))
            self._done += 1
        jax.effects_barrier()


class Bar:
    """A progress bar that is drawn from the first step on, when it is known what was done before."""

    def __init__(self, slots: int, description: str, drawn: bool) -> None:
        """Prepares a bar over so many slots of the log, all blocks together."""
        self.drawn = drawn
        self._slots = slots
        self._description = description
        self._progress: Progress | None = None

    def skip(self, slots: int) -> None:
        """Takes slots out that are done already."""
        self._slots -= slots

    def advance(self, slots: int, steps: float, seconds: float, mean_return: float) -> None:
        """As `Progress.advance`."""
        if self.drawn:
            self._progress = self._progress or Progress(max(self._slots, 1), self._description)
            self._progress.advance(slots, steps, seconds, mean_return)
