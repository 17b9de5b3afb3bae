"""The forward and the backward pass of a recorded computation as data: statements over named values."""
