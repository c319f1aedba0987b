"""Kernel methods around the maximum mean discrepancy, as scikit-learn estimators."""

__version__ = "0.1.0.dev0"
