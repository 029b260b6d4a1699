"""Weights by name with their cards, and weights that other projects published."""
