"""TFLite files: what is in them, and playing with them by the LiteRT interpreter."""

from jaxrl.litert.file_agent import FileAgent, evaluate_file, greedy
from jaxrl.litert.model import Layer, give_signed_outputs, read_metadata, weighted_layers, write_metadata
from jaxrl.litert.policy_file import OBSERVATION, PolicyFile, PolicyFileError, carry_names

__all__ = [
    "OBSERVATION",
    "FileAgent",
    "Layer",
    "PolicyFile",
    "PolicyFileError",
    "carry_names",
    "evaluate_file",
    "give_signed_outputs",
    "greedy",
    "read_metadata",
    "weighted_layers",
    "write_metadata",
]
