"""TFLite files: what is in them, and playing with them by the LiteRT interpreter."""

from jaxrl.litert.file_agent import FileAgent, evaluate_file, greedy
from jaxrl.litert.model import Layer, keep_signatures, read_metadata, weighted_layers, write_metadata
from jaxrl.litert.policy_file import PolicyFile, PolicyFileError, carry_names

__all__ = [
    "FileAgent",
    "Layer",
    "PolicyFile",
    "PolicyFileError",
    "carry_names",
    "evaluate_file",
    "greedy",
    "keep_signatures",
    "read_metadata",
    "weighted_layers",
    "write_metadata",
]
