"""How Sphinx makes the site. docs/build.py stages the pages and calls it."""

from docutils import nodes

import tinygrad_lo

project = "tinygrad_lo"
author = "the authors of tinygrad_lo"
version = release = tinygrad_lo.__version__
language = "en"
extensions = ["myst_parser", "sphinx_copybutton", "sphinx_design"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
highlight_language = "pycon"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
html_theme = "pydata_sphinx_theme"
html_title = "tinygrad_lo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_extra_path = ["_build/source/extra"]  # live pages, the classifier, the exercises: each a page of its own
html_show_sourcelink = False
html_copy_source = False
html_use_index = True
html_sidebars = {"start": []}  # no pages below it
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 8,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
copyright = "the authors of tinygrad_lo. Not related to the project tinygrad"
smartquotes = False


def ended(_app, tree):
    """Let each block end with its last line; in a page's source doctest wants an empty one after it."""
    for block in tree.findall(nodes.literal_block):
        if block.rawsource == block.astext():
            block.rawsource = block.rawsource.rstrip()
            block[:] = [nodes.Text(block.rawsource)]


def setup(app):
    """Sphinx calls it."""
    app.connect("doctree-read", ended)
