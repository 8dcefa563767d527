"""A headless Chromium for looking at the built site and for its tests. Of the network it is shown only this machine.

Chromium is looked for on the PATH; CHROMIUM names another one.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import Browser, Page, sync_playwright

from tools.chapters import BookError

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


def find() -> str | None:
    """Where Chromium is, if it is somewhere."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


def program() -> str:
    """Where Chromium is. Raises BookError where there is none."""
    if found := find():
        return found
    named = os.environ.get("CHROMIUM")
    where = f"CHROMIUM={named} is no program" if named else "there is none on the PATH"
    raise BookError(f"Chromium is needed, and {where}: install it (Debian: apt install chromium) or set CHROMIUM")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address, without a slash at its end, under which a folder is served on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    """Prints nothing of what is asked; for what is missing it shows the site's 404.html, perhaps in a folder."""

    def log_message(self, *arguments: object) -> None:
        """Nothing."""

    def send_error(self, code: int, *arguments: object) -> None:
        """As hosts of static sites do."""
        pages = sorted(Path(self.directory).glob("404.html")) or sorted(Path(self.directory).glob("*/404.html"))
        if code != 404 or not pages:
            super().send_error(code, *arguments)
            return
        content = pages[0].read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def visit(page: Page, address: str) -> list[str]:
    """Open a page, wait until it is drawn, and return what went wrong: requests elsewhere, missing files, errors.

    Pictures that wait to be scrolled to are loaded as well, and explorers have started.
    """
    wrong: list[str] = []
    base = address.partition("://")[0] + "://"
    here = address if base == "file://" else "/".join(address.split("/")[:3])
    local = (base if base == "file://" else here, "data:", "blob:")
    page.on("request", lambda asked: asked.url.startswith(local) or wrong.append(f"asks for {asked.url}"))
    page.on("requestfailed", lambda asked: wrong.append(f"did not load: {asked.url}"))
    page.on("response", lambda given: given.status < 400 or wrong.append(f"{given.status}: {given.url}"))
    page.on("console", lambda said: said.type in ("error", "warning") and wrong.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
    page.goto(address, wait_until="load")
    page.evaluate(DRAWN)
    return wrong


DRAWN = """async () => {
  document.querySelectorAll('img[loading="lazy"]').forEach(image => image.loading = 'eager');
  await Promise.all([...document.images].map(image => image.decode().catch(() => 0)));
  const waits = '.latent-explorer:not([data-state="live"], [data-state="failed"])';
  for (let tries = 0; tries < 200 && document.querySelector(waits); tries++) {
    await new Promise(done => setTimeout(done, 50));
  }
  await document.fonts.ready;
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
