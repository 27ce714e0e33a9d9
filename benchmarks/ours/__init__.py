"""What jaxrl does in the benchmarks, and the limits of the machine that it is held against."""
