"""The machine: speed, care with what users pass in, NumPy's names, and what happens beside the graph."""
