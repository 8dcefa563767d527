"""Open every page of the built book in headless Chromium: check it and take pictures into _build/shots/.

    python -m tools.look [page ...]        such as: python -m tools.look mnist derivation

Each page is opened wide and light, wide and dark, and at a phone's width. A page fails if an equation is not drawn or
carries an error, an image is missing, anything is asked of the network, a script fails, or the page can be scrolled
sideways. Chromium is looked for on the PATH; CHROMIUM names another one.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import websocket

from tools.chapters import ROOT, pages

VIEWS = {"light": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "light")}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
]

# What a page is asked once it has loaded; MathJax says when every equation is drawn.
REPORT = """(async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  document.querySelectorAll('img[loading="lazy"]').forEach(image => image.loading = 'eager');
  await Promise.all([...document.images].map(image => image.decode().catch(() => 0)));
  const all = selector => [...document.querySelectorAll(selector)];
  const wide = document.documentElement.clientWidth;
  const scrolls = element => element && element !== document.body &&
    (['auto', 'scroll', 'hidden'].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  return JSON.stringify({
    equations: all('.math').length,
    drawn: all('mjx-container').length,
    errors: all('mjx-merror, [data-mml-node="merror"]').map(e => e.textContent.slice(0, 80)),
    broken: [...document.images].filter(image => !image.naturalWidth).map(image => image.src),
    sideways: document.documentElement.scrollWidth - wide,
    outside: all('.bd-article *').filter(e => e.getBoundingClientRect().right > wide + 1 && !scrolls(e.parentElement))
      .slice(0, 5).map(e => e.tagName + '.' + e.className),
    cut: all('div.math mjx-container').filter(e => [...e.querySelectorAll('g')].some(g =>
      g.getBoundingClientRect().left < e.closest('div.math').getBoundingClientRect().left - 2))
      .map(e => e.closest('div.math').id || 'one without a name'),
    height: document.documentElement.scrollHeight,
  });
})()"""


class Browser:
    """A headless Chromium and one tab of it, spoken to over its debugging socket."""

    def __init__(self) -> None:
        names = ("chromium", "chromium-browser", "google-chrome", "chrome")
        program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
        if not program:
            raise SystemExit("look: no Chromium on the PATH; install it or set CHROMIUM to its path")
        self.profile = tempfile.TemporaryDirectory(prefix="look-", ignore_cleanup_errors=True)
        command = [program, *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.socket = websocket.create_connection(self._address(), timeout=60)
        self.numbers = itertools.count(1)
        self.events: list[dict] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = None
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def _address(self) -> str:
        port = Path(self.profile.name, "DevToolsActivePort")
        for _ in range(300):
            if port.exists() and len(lines := port.read_text().split()) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(0.1)
        raise SystemExit("look: Chromium did not start within 30 s")

    def call(self, method: str, **params) -> dict:
        """Send a command and return its result; events that arrive meanwhile are kept."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url: str) -> dict:
        """Load a page, wait until it is drawn, and return what it says about itself."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self.socket.recv()))
        answer = self.call("Runtime.evaluate", expression=REPORT, awaitPromise=True, returnByValue=True)
        return json.loads(answer["result"]["value"])

    def close(self) -> None:
        """End the browser and remove its profile."""
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=20)
        self.profile.cleanup()


def faults(report: dict, events: list[dict]) -> list[str]:
    """What is wrong with a page, one line each."""
    found = []
    if report["drawn"] < report["equations"]:
        found.append(f"{report['equations']} equations, {report['drawn']} drawn")
    found += [f"equation with an error: {text}" for text in report["errors"]]
    found += [f"image missing: {source}" for source in report["broken"]]
    if report["sideways"] > 0:
        found.append(f"scrolls sideways by {report['sideways']} px")
    found += [f"reaches beyond the right edge: {name}" for name in report["outside"]]
    found += [f"equation cut at its left edge: {name}" for name in report["cut"]]
    for event in events:
        params = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:", "about:")):
                found.append(f"asks the network for {url}")
        elif event["method"] == "Network.loadingFailed":
            found.append(f"a file did not load: {params['errorText']}")
        elif event["method"] == "Runtime.exceptionThrown":
            found.append(
                f"script error: {params['exceptionDetails'].get('exception', {}).get('description', '?')[:200]}"
            )
    return found


def look(root: Path, names: list[str]) -> int:
    """Look at the named pages, or at all; returns the number of faults."""
    site, shots = root / "_build" / "html", root / "_build" / "shots"
    shots.mkdir(parents=True, exist_ok=True)
    listed = [page for page in pages(root) if not names or page.stem in names]
    count = 0
    browser = Browser()
    try:
        for page in listed:
            url = (site / page.relative_to(root).with_suffix(".html")).as_uri()
            for view, (width, height, scheme) in VIEWS.items():
                scheme = [{"name": "prefers-color-scheme", "value": scheme}]
                browser.call("Emulation.setEmulatedMedia", features=scheme)
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": view == "phone"}
                browser.call("Emulation.setDeviceMetricsOverride", **size)
                report = browser.open(url)
                wrong = faults(report, browser.events)
                clip = {"x": 0, "y": 0, "width": width, "height": min(report["height"], 16000), "scale": 1}
                shot = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
                (shots / f"{page.stem}-{view}.png").write_bytes(base64.b64decode(shot["data"]))
                print(f"{page.stem}, {view}: {report['drawn']} equations, {report['height']} px high", flush=True)
                for line in wrong:
                    print(f"  {line}")
                count += len(wrong)
    finally:
        browser.close()
    print(f"{len(listed)} pages, {count} faults; pictures in {shots.relative_to(root)}/")
    return count


if __name__ == "__main__":
    sys.exit(1 if look(ROOT, sys.argv[1:]) else 0)
