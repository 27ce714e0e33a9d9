"""What the layers of a network have in common."""

import dataclasses

from jaxrl.networks.activations import activation_by_name
from jaxrl.networks.initialization import Initializer, check_initializer

INPUTS = ("raw", "signs")
"""How a network reads an observation: as it is, or its positive and its negative part apart."""
ENCODERS = ("flatten", "convolution")
"""How a network turns observations into features."""


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """What the layers of a network have in common."""

    activation: str = "relu"
    """Name of the activation function."""
    layer_norm: bool = False
    """Normalise what goes into the activation (Ba et al., 2016)."""
    initializer: str | Initializer = "truncated_normal"
    """Of the weights: a name, or a Haiku initializer."""
    inputs: str = "raw"
    """How observations are read: as they are, or their positive and their negative part apart."""
    encoder: str = "flatten"
    """How observations become features: flattened, or images by convolutions."""
    channels: tuple[int, ...] = (16,)
    """Output channels of the convolutions."""
    kernels: tuple[int, ...] = (3,)
    """Heights and widths of the convolutions' kernels, in pixels."""
    strides: tuple[int, ...] = (1,)
    """Steps between the places of a kernel, in pixels."""

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
          ValueError: one of them has an unknown value, or the convolutions' fields differ in length.
          TypeError: the initializer is neither a name nor callable.
        """
        activation_by_name(self.activation)
        check_initializer(self.initializer)
        for name, known in (("inputs", INPUTS), ("encoder", ENCODERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} = {getattr(self, name)!r} is unknown: choose one of {', '.join(known)}")
        layers = {name: getattr(self, name) for name in ("channels", "kernels", "strides")}
        if len({len(values) for values in layers.values()}) != 1:
            given = ", ".join(f"{name} = {values}" for name, values in layers.items())
            raise ValueError(f"{given} must have one number for each convolution")
        if any(value < 1 for values in layers.values() for value in values):
            raise ValueError(f"channels, kernels and strides must be positive, and are {layers}")
