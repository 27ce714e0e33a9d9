"""The programs that jaxrl is measured beside, each in a virtual environment of its own (or in ours)."""
