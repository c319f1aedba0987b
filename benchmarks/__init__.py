"""Timings and rates of skmmd beside its peers; README.md says how to run them."""
