"""Experiments: which shoppers see which variant of a shelf."""
