"""Sphinx configuration."""

import re

import skmmd

project = "skmmd"
author = "The skmmd developers"
copyright = "2026, The skmmd developers"
version = release = skmmd.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "examples", "auto_examples/*.ipynb"]
templates_path = ["_templates"]
default_role = "literal"

html_theme = "pydata_sphinx_theme"
html_title = "skmmd"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
}
# The gallery's pages show code on the left and nothing to navigate by.
html_sidebars = {"auto_examples/**": []}

autosummary_generate = True
# An area's page lists its `__all__`, so that a new public name appears by itself.
autosummary_ignore_module_all = False
autosummary_imported_members = False
# Two names that differ in case alone would be one file on some file systems.
autosummary_filename_map = {
    "skmmd.kernels.gram": "skmmd.kernels.gram-function",
    "skmmd.kernels.nystroem": "skmmd.kernels.nystroem-function",
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False

# Leave out the prompts and outputs of the examples when they are copied.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "doc_module": ("skmmd",),
    "backreferences_dir": "api/generated/backreferences",
    "show_memory": False,
    "download_all_examples": False,
    "copyfile_regex": r".*\.rst",
}


def _skip_foreign(app, what, name, obj, skip, options):
    """Leave out what estimators inherit from scikit-learn: its pages describe that."""
    foreign = (getattr(obj, "__module__", None) or "").startswith("sklearn.")
    return skip or foreign or bool(re.fullmatch(r"set_\w+_request", name))


def setup(app):
    app.connect("autodoc-skip-member", _skip_foreign)
