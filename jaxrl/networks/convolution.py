"""A convolutional encoder for images."""

import haiku as hk
import jax
import jax.numpy as jnp

from jaxrl.networks.activations import activation_by_name
from jaxrl.networks.initialization import hidden_scale, weights_initializer
from jaxrl.networks.options import LayerOptions
from jaxrl.spaces import Box, Space


def check_images(space: Space, options: LayerOptions) -> None:
    """Checks that observations are images from which every layer leaves something.

    Raises:
      ValueError: they are not.
    """
    if not isinstance(space, Box) or len(space.shape) != 3:
        raise ValueError(
            "encoder = 'convolution' reads a Box of shape [height, width, channels], and the observations are "
            f"{space}: use encoder = 'flatten'"
        )
    size = space.shape[:2]
    for i, (kernel, stride) in enumerate(zip(options.kernels, options.strides, strict=True)):
        if kernel > min(size):
            raise ValueError(
                f"kernels[{i}] = {kernel} is larger than what comes into its layer, {size[0]} x {size[1]}, from images "
                f"of {space.shape[0]} x {space.shape[1]}: use smaller kernels or strides, or fewer layers"
            )
        size = ((size[0] - kernel) // stride + 1, (size[1] - kernel) // stride + 1)


class Convolutions(hk.Module):
    """Convolutions without padding, an activation after each, flattened at the end (Mnih et al., 2015)."""

    def __init__(self, options: LayerOptions, name: str | None = None):
        super().__init__(name=name)
        self.options = options

    def __call__(self, images: jax.Array) -> jax.Array:
        """f32[batch, features] for [batch, height, width, channels]; u8 images are read as 0 to 1."""
        options = self.options
        features = images.astype(jnp.float32) / (255 if images.dtype == jnp.uint8 else 1)
        for i, (channels, kernel, stride) in enumerate(
            zip(options.channels, options.kernels, options.strides, strict=True)
        ):
            initializer = weights_initializer(
                options.initializer, kernel * kernel * features.shape[-1], hidden_scale(options.initializer)
            )
            name = f"convolution_{i}"
            features = hk.Conv2D(channels, kernel, stride, padding="VALID", w_init=initializer, name=name)(features)
            if options.layer_norm:
                norm = hk.LayerNorm((1, 2, 3), True, True, param_axis=-1, name=f"layer_norm_{i}")
                features = norm(features)
            features = activation_by_name(options.activation)(features)
        return features.reshape(features.shape[0], -1)
