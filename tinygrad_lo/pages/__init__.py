"""Pages of their own: `python -m tinygrad_lo.pages classifier` writes one and opens it."""
