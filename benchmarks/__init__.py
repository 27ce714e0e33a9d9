"""Programs that measure jaxrl beside its peers; none of them is imported by the library."""
