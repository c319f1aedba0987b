"""The tour: what the estimators find on real data, as a table and one page.

data sets of scikit-learn, installed files -> part -> findings  (a module for each area, _installed)
findings -> lines of a table                      (_tour_command)
findings -> figures and one page                  (_page)

A part is listed in ``PARTS``; ``_findings`` says what it yields.
"""

from skmmd._cli._tour._density import PART as DENSITY
from skmmd._cli._tour._findings import Finding, Part
from skmmd._cli._tour._hashing import PART as HASHING
from skmmd._cli._tour._metric_learning import PART as METRIC_LEARNING
from skmmd._cli._tour._mixture import PART as MIXTURE
from skmmd._cli._tour._page import save_figures, write_page
from skmmd._cli._tour._transfer import PART as TRANSFER
from skmmd._cli._tour._two_sample import PART as TWO_SAMPLE

__all__ = ["PARTS", "Finding", "Part", "save_figures", "write_page"]

PARTS: tuple[Part, ...] = (TWO_SAMPLE, HASHING, MIXTURE, METRIC_LEARNING, TRANSFER, DENSITY)
