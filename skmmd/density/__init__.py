"""Density and score estimation by score matching."""

from skmmd.density._density import ScoreMatchingDensity

__all__ = ["ScoreMatchingDensity"]
