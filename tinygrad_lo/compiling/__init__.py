"""The recorded program, run instead of the graph."""
