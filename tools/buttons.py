"""What a page says of the checkout it was made from: its repository's buttons, the executed notebook, the date.

A Sphinx extension. No button leads nowhere: without a public `origin` there is none to a repository, and the page of a
rerun, whose notebook no repository holds, has none that opens it there.
"""

from pathlib import Path

from sphinx.application import Sphinx

from tools import origin

AFTER_THE_THEME = 502  # which lists its own buttons at 501
LOGOS = "_static/images/logo_"
CITE = "book/index", "cite"  # where pages say how to cite the book


def setup(app: Sphinx) -> dict:
    """Add to each page; the setting `checkout` is the folder that holds `book/`."""
    app.add_config_value("checkout", "", "html")
    app.connect("builder-inited", lambda app: app.connect("html-page-context", _Buttons(app), priority=AFTER_THE_THEME))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class _Buttons:
    """Knows the checkout, which git is asked about once."""

    def __init__(self, app: Sphinx) -> None:
        self.root = Path(app.config.checkout) if app.config.checkout else None
        self.repository = self.root and origin.repository(self.root)
        self.commit = self.root and origin.commit(self.root)

    def __call__(self, app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
        buttons = context["header_buttons"]
        chapter = f"{pagename}.ipynb"
        if context.get("page_source_suffix") == ".ipynb":
            _name_download(buttons)
        if self.repository and doctree:
            if (self.root / chapter).is_file():
                buttons.insert(0, _group("Run this chapter", "fas fa-rocket", self._launch(chapter)))
            title = app.env.titles[pagename].astext()
            buttons.insert(0, _group("Repository", "fas fa-code", self._source(title, f"{pagename}.html")))
        if self.commit:
            context["theme_extra_footer"] = f"{context.get('theme_extra_footer') or ''} As of {self.commit}."
        if CITE[0] in app.env.found_docs:  # not beside the page of a rerun
            place = f"{context['pathto'](CITE[0]).rstrip('#')}#{CITE[1]}"  # of the page itself it says "#"
            footer = context.get("theme_extra_footer") or ""
            context["theme_extra_footer"] = f'{footer} <a class="cite" href="{place}">Cite this book</a>'

    def _launch(self, chapter: str) -> list[dict]:
        places = {"Colab": self.repository.colab(chapter), "Binder": self.repository.binder(chapter)}
        logos = {"Colab": f"{LOGOS}colab.png", "Binder": f"{LOGOS}binder.svg"}
        first = {"Colab": f", and run %pip install git+{self.repository.url} first"}  # Binder installs environment.yml
        return [
            _link(name, url, logos[name], f"Open this chapter in {name}{first.get(name, '')}")
            for name, url in places.items()
            if url
        ]

    def _source(self, title: str, page: str) -> list[dict]:
        text = f"Page: {page}\n" + (f"Book of {self.commit}\n" if self.commit else "") + "\nWhat is wrong: "
        return [
            _link("Repository", self.repository.url, "fas fa-code", "The source of this book"),
            _link(
                "Report an error",
                self.repository.report(f"Error on the page “{title}”", text),
                "fas fa-triangle-exclamation",
                "Open an issue about this page",
            ),
        ]


def _link(text: str, url: str, icon: str, tooltip: str) -> dict:
    return {"type": "link", "text": text, "url": url, "icon": icon, "tooltip": tooltip}


def _group(tooltip: str, icon: str, buttons: list[dict]) -> dict:
    return {"type": "group", "tooltip": tooltip, "icon": icon, "buttons": buttons}


def _name_download(buttons: list[dict]) -> None:
    """Say that the notebook which can be downloaded holds outputs; the build puts the executed one in its place."""
    for group in buttons:
        for button in group.get("buttons", []):
            if button.get("label") == "download-source-button":
                button |= {"text": ".ipynb with outputs", "tooltip": "Download the executed notebook"}
