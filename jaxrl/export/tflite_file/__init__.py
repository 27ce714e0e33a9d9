"""TFLite files: what is in them, and playing with them by the LiteRT interpreter."""

from jaxrl.export.tflite_file.file_agent import FileAgent, evaluate_file, greedy
from jaxrl.export.tflite_file.model import Layer, give_signed_outputs, read_metadata, weighted_layers, write_metadata
from jaxrl.export.tflite_file.policy_file import OBSERVATION, PolicyFile, PolicyFileError, carry_names

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
