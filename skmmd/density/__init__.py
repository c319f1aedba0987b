"""Density and score estimation by score matching."""

__all__: list[str] = []
