"""How many rows each of two samples gets."""

from numbers import Integral

from sklearn.utils import check_scalar


def two_sizes(n_samples: int | tuple[int, int]) -> tuple[int, int]:
    """Return the sizes of both samples; a single number stands for both.

    Raises
    ------
    TypeError
        If a size is not an integer.
    ValueError
        If a size is below 1, or if there are not one or two of them.
    """
    sizes = n_samples if isinstance(n_samples, tuple | list) else (n_samples, n_samples)
    if len(sizes) != 2:
        raise ValueError(f"n_samples must be an int or a pair of ints; got {n_samples!r}.")
    for size in sizes:
        check_scalar(size, "n_samples", Integral, min_val=1)
    return int(sizes[0]), int(sizes[1])
