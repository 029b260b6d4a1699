"""How Sphinx makes the gallery of what `deblur.reports.gallery` writes. Nothing is fetched, nothing is run."""

project = "deblur: five motion-deblurring papers"
author = "the deblur authors"
copyright = author
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
html_title = "Five motion-deblurring papers"
html_static_path = ["_static"]
html_css_files = ["gallery.css", "slider.css"]
html_js_files = [("gallery.js", {"defer": "defer"})]
html_show_sourcelink = False
html_theme_options = {"use_download_button": False, "show_toc_level": 2, "navbar_persistent": []}
html_context = {"default_mode": "auto"}
html_copy_source = False
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # else two scripts are asked for from abroad
nb_render_markdown_format = "myst"
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]
