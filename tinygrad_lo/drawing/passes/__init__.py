"""What is computed of a graph before it is drawn."""
