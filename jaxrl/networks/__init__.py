"""Haiku networks. The member axis is added by `vmap`, so that batched products lead with it."""

from jaxrl.networks.activations import ACTIVATIONS
from jaxrl.networks.cells import CELLS
from jaxrl.networks.encoding import INPUTS, encode, example
from jaxrl.networks.initialization import INITIALIZERS
from jaxrl.networks.linear import Linear, product
from jaxrl.networks.mlp import Layers, actor_critic, mlp
from jaxrl.networks.recurrent import Recurrent, recurrent_actor_critic

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "INITIALIZERS",
    "INPUTS",
    "Layers",
    "Linear",
    "Recurrent",
    "actor_critic",
    "encode",
    "example",
    "mlp",
    "product",
    "recurrent_actor_critic",
]
