"""Environments of other libraries for jaxrl's agents, and jaxrl's environments for other libraries' agents."""

from jaxrl.adapters.gymnax import from_gymnax

__all__ = ["from_gymnax"]
