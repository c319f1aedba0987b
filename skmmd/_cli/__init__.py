"""The command line: ``skmmd COMMAND``, arguments -> estimator -> print.

arguments -> command                          (_main)
files -> tables -> rows of two samples        (_tables)
rows -> MMDTest -> text, JSON, figure         (_test_command, _text, _figures)
PATHS -> entries -> digests or features       (_entries, _files)
digests -> text, JSON, CSV, figure, index     (_hash_command, _compare_command, _matrix_command,
                                               _index_command, _query_command, _cluster_command)
data sets -> parts -> findings -> one page    (_tour_command, _tour)
installed packages, threads -> text           (_versions_command)

A command is a module with ``add_parser(commands)`` and ``run(arguments)``, listed in ``_main``.
"""

from skmmd._cli._main import main

__all__ = ["main"]
