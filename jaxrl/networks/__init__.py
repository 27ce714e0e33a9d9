"""Haiku networks. The member axis is added by `vmap`, so that batched products lead with it."""

from jaxrl.networks.activations import ACTIVATIONS
from jaxrl.networks.actor_critic import actor_critic
from jaxrl.networks.cells import CELLS
from jaxrl.networks.critic import critic
from jaxrl.networks.encoding import encode, example
from jaxrl.networks.ensemble import ensemble
from jaxrl.networks.initialization import INITIALIZERS, transform
from jaxrl.networks.linear import Linear, product
from jaxrl.networks.mlp import Layers, mlp
from jaxrl.networks.options import ENCODERS, INPUTS, LayerOptions
from jaxrl.networks.recurrent import Recurrent, recurrent_actor_critic

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "ENCODERS",
    "INITIALIZERS",
    "INPUTS",
    "LayerOptions",
    "Layers",
    "Linear",
    "Recurrent",
    "actor_critic",
    "critic",
    "encode",
    "ensemble",
    "example",
    "mlp",
    "product",
    "recurrent_actor_critic",
    "transform",
]
