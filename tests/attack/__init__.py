"""Attacks with random numbers on whatever jaxrl reads and is told: `python -m tests.attack`."""
