"""What a part of the tour is, and what it yields."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Figure", "Finding", "Part", "timed"]

T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """A figure of a finding.

    Attributes
    ----------
    name : str
        Its file name, without suffix.
    caption : str
        What it shows and how to read it; also its text for those who can't see it.
    drawn : matplotlib Figure
        The figure.
    """

    name: str
    caption: str
    drawn: Any


@dataclass(frozen=True)
class Finding:
    """One question that was put to real data, and what came out.

    Attributes
    ----------
    title : str
        A few words.
    question : str
        What was asked, in a sentence or two.
    data : str
        Which data, and how many rows.
    call : str
        The call that answered, as it is typed.
    outcome : str
        The result in a few words.
    reading : str
        How to read the result.
    seconds : float
        Time of the call alone.
    figures : tuple of Figure
        What is to be seen.
    """

    title: str
    question: str
    data: str
    call: str
    outcome: str
    reading: str
    seconds: float
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Part:
    """The part of an area.

    Attributes
    ----------
    name : str
        Name of the area's package.
    title : str
        What the area is about.
    introduction : str
        What the estimators of the area do, in a sentence or two.
    findings : callable
        Takes ``quick`` (fewer permutations and repetitions) and yields the findings.
    """

    name: str
    title: str
    introduction: str
    findings: Callable[[bool], Iterator[Finding]]


def timed(function: Callable[[], T]) -> tuple[T, float]:
    """Call a function and return its value with the seconds that it took."""
    start = time.perf_counter()
    value = function()
    return value, time.perf_counter() - start
