"""The programs that jaxrl is measured beside, each in a separate virtual environment (or in ours)."""
