"""What the user guide shows in examples is so."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "doc" / "user_guide" / "metric_learning.rst"


def test_examples_of_the_guide():
    found = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0
