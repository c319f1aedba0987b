"""How much memory a call takes, as the tests of memory measure it."""

import tracemalloc

MEGABYTE = 2**20


def peak_of(run):
    """Return the megabytes that a call holds at its highest, beyond what was held before."""
    run()  # compiled code and lazy imports are not what is measured
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()
