"""Measures of recommendations, as pure functions."""
