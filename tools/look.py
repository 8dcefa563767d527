"""Take pictures of every page of the built book in headless Chromium, into _build/shots/, to look at them.

    python -m tools.look [page ...]        such as: python -m tools.look mnist derivation

Each page is taken at the widths of a phone, a tablet and a desk, light and dark, and as it is printed. What can be
checked without eyes is in tests/test_browser.py (`make test-browser`).
"""

import sys
from pathlib import Path

from tools.browser import chromium, visit
from tools.chapters import ROOT, BookError, pages

WIDTHS = (360, 768, 1440)
SCHEMES = ("light", "dark")


def look(root: Path, names: list[str]) -> None:
    """Take pictures of the named pages, or of all."""
    site, shots = root / "_build" / "html", root / "_build" / "shots"
    shots.mkdir(parents=True, exist_ok=True)
    listed = [page for page in pages(root) if not names or page.stem in names]
    with chromium() as browser:
        for source in listed:
            address = (site / source.relative_to(root).with_suffix(".html")).as_uri()
            for scheme in SCHEMES:
                page = browser.new_page(color_scheme=scheme)
                for line in visit(page, address):
                    print(f"{source.stem}, {scheme}: {line}")
                for width in WIDTHS:
                    page.set_viewport_size({"width": width, "height": 900})
                    page.screenshot(path=shots / f"{source.stem}-{width}-{scheme}.png", full_page=True)
                if scheme == "light":
                    page.pdf(path=shots / f"{source.stem}.pdf", format="A4", print_background=True)
                page.close()
            print(f"{source.stem}: pictures in {shots.relative_to(root)}/", flush=True)


if __name__ == "__main__":
    try:
        look(ROOT, sys.argv[1:])
    except BookError as error:
        sys.exit(f"look: {error}")
