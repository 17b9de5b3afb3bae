"""Graphs explained as text."""
