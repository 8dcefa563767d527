"""The explorer as HTML: a fragment for a chapter's page, or a page of its own. No script is loaded from anywhere."""

import base64
import hashlib
import json
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from string import Template

import matplotlib.pyplot as plt

from vaelib import latent
from vaelib.data import ImageDataset
from vaelib.explorer.pack import Packed, pack
from vaelib.plotting.images import tile
from vaelib.report import class_name, provenance, title
from vaelib.training import TrainedRun

FOLDER = Path(__file__).parent
SCRIPTS = ("network.js", "surface.js", "input.js", "explorer.js")
PLANES = {1: "the latent axis", 2: "the latent plane"}  # what is drawn, by K
WHY = "This picture stands in for a live surface, which needs scripts: here they are off."


@dataclass(frozen=True)
class Explorer:
    """A run in the page. In a notebook it shows itself as HTML."""

    name: str
    caption: str
    packed: Packed
    still: bytes  # a PNG

    def __repr__(self) -> str:
        return f"A live surface of the latent space, in a browser: {self.caption}"

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict]:
        # Under this name another page of the book can show it: ```{glue} explorer, with :doc: mnist.ipynb.
        named = {"scrapbook": {"name": "explorer", "mime_prefix": ""}}
        return {"text/html": self.html(), "text/plain": repr(self)}, named

    def html(self) -> str:
        """The fragment for a page, whole in itself."""
        meta, content = self.packed.meta, base64.b64encode(self.packed.content).decode()
        axes = " and ".join(f"z{k + 1}" for k in meta["dims"])
        plane = PLANES.get(meta["latentDim"], "a plane of the latent space")
        return _filled(
            "fragment.html",
            id=f"explorer-{hashlib.sha256(self.packed.content).hexdigest()[:8]}",
            name=escape(self.name),
            plane=f"{plane.capitalize()}, {axes}",
            alt=f"A mosaic of pictures that the decoder draws along {axes}.",
            why=WHY,
            caption=escape(self.caption),
            still=base64.b64encode(self.still).decode(),
            meta=json.dumps(meta).replace("<", "\\u003c"),  # or a class named "</script>" would end it
            content=content,
            style=_text("explorer.css"),
            scripts="\n".join(map(_text, SCRIPTS)),
        )

    def page(self) -> str:
        """A whole page, for one file."""
        return _filled("page.html", title=escape(self.name), explorer=self.html())


def show(run: TrainedRun, data: ImageDataset | None = None) -> Explorer:
    """The explorer of a run, with held-out images `data`, by default its own.

    Raises ValueError, in one line, for what it cannot show: an autoencoder, another likelihood than Bernoulli, another
    prior than N(0, I), images that are not the model's.
    """
    data = run.config.load("test") if data is None else data
    packed = pack(run.model, data)
    dims = packed.meta["dims"]
    name = title(run.config.dataset)
    if run.config.classes:
        name += ", " + ", ".join(class_name(data, label) for label in run.config.classes)
    k = run.config.latent_dim
    plane = PLANES.get(k, f"z{dims[0] + 1} and z{dims[-1] + 1} of {k} numbers")
    colored = ", colored by label" if packed.meta["classes"] else ""
    caption = (
        f"{name}, K = {k}. Over {plane}: pictures that the decoder draws, the means of q(z|x) of "
        f"{packed.meta['images']} held-out images{colored}, and q(z|x) of one image x as the regions that hold 50% "
        f"and 95% of it. "
        f"{provenance(run).text}"
    )
    return Explorer(f"{name}, K = {k}", caption, packed, _still(run, data, dims))


def export(run: TrainedRun, path: str | Path, data: ImageDataset | None = None) -> Explorer:
    """Write the explorer of a run as one page that holds all it needs. Raises what `show` raises, and OSError."""
    explorer = show(run, data)
    Path(path).write_text(explorer.page(), encoding="utf-8")
    return explorer


def _still(run: TrainedRun, data: ImageDataset, dims: list[int]) -> bytes:
    """A mosaic of decoded pictures, as PNG: what stands where no script runs."""
    values = latent.prior_quantiles(8)
    pictures = latent.decode_means(run.model, latent.latent_grid(run.config.latent_dim, values, tuple(dims)))
    mosaic = tile(pictures, data.image_shape, len(values), gap=0)
    with BytesIO() as content:
        plt.imsave(content, mosaic, cmap="gray", vmin=0, vmax=1, format="png", pil_kwargs={"optimize": True})
        return content.getvalue()


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8").strip()


def _filled(template: str, **values: str) -> str:
    return Template(_text(template)).substitute(values)
