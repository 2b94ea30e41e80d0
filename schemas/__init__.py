"""Contracts: what is on each topic, how it is written, and the errors of reading it."""
