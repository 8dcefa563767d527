"""Which run a page shows: its data, config and machine, what differs from the book's own run, and stand-ins."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from vaelib.config import TrainConfig
from vaelib.data import STAND_INS, DataError, ImageDataset
from vaelib.official import SPLITS, find_split
from vaelib.runs import stored
from vaelib.training import TrainedRun

TITLES = {"FashionMNIST": "Fashion-MNIST", "digits": "8 × 8 digits", "synthetic-boots": "drawn boots"}


def title(dataset: str) -> str:
    """A data set's name as a page writes it: of a path its last part."""
    return TITLES.get(dataset, Path(dataset).name)


def numbers(latent_dim: int) -> str:
    """What an image becomes: "one number", "two numbers", "20 numbers"."""
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return f"{words[latent_dim - 1] if latent_dim <= 10 else latent_dim} number{'s' if latent_dim > 1 else ''}"


def axes(dims: Sequence[int]) -> str:
    """Latent dimensions, counted from 0, as a page writes them: "$z_{1}$ and $z_{2}$"."""
    names = [f"$z_{{{dim + 1}}}$" for dim in dims]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def class_name(data: ImageDataset, label: int) -> str:
    """What a label stands for, where the data say so."""
    return data.class_names[label] if data.class_names else f"label {label}"


@dataclass(frozen=True)
class Line:
    """One line of small print."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<p class="provenance"><small>{escape(self.text)}</small></p>'


@dataclass(frozen=True)
class Notice:
    """A banner, or nothing at all when there is nothing to warn of."""

    title: str = ""
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.text)

    def __repr__(self) -> str:
        return f"{self.title}: {self.text}" if self else ""

    def _repr_html_(self) -> str:
        if not self:
            return ""
        return (
            f'<div class="admonition warning"><p class="admonition-title">{escape(self.title)}</p>'
            f"<p>{escape(self.text)}</p></div>"
        )


def provenance(run: TrainedRun) -> Line:
    """Data and digest, what is not the plain VAE, K, epochs, seed, the held-out ELBO, the machine and what to mind."""
    config, heldout = run.config, run.heldout
    kind = {"autoencoder": " · autoencoder", "vae": ""}[config.model]
    if config.prior != "standard-normal":
        kind += f" · {config.prior} prior"
    if not config.follows_elbo:
        kind += f" · β = {config.beta:g}"
        kind += f" · {config.divergence_weight:g} × {config.divergence}" if config.divergence else ""
    result = ("log p(x|z)", heldout.log_likelihood) if heldout.elbo is None else ("ELBO", heldout.elbo)
    images = config.dataset in (*STAND_INS, *STAND_INS.values()) or config.dataset.endswith(".npz")
    part = f", classes {', '.join(map(str, config.classes))}" if config.classes else ""
    return Line(
        f"{title(config.dataset)}{part} (data {run.data_digest[:8]}){kind} · K = {config.latent_dim} · "
        f"{config.epochs} epochs · batch {config.batch_size} · seed {config.seed} · "
        f"held-out {result[0]} {result[1]:.1f} nats per {'image' if images else 'example'} · trained on {run.machine}"
        + (f" · Warning: {run.warning}" if run.warning else "")
    )


def notice(dataset: str, *, asked: str | None = None, smoke: bool = False) -> Notice:
    """A banner for a page made from stand-in data or by a smoke run; empty for a full run on the data asked for.

    `dataset` is what was used and `asked` what the page is about (`resolve_dataset` may have put one for the other).
    """
    stood_for = asked if asked and asked != dataset else None
    texts = []
    if stood_for:
        texts.append(
            f"{stood_for} could not be found or downloaded, so this page was made from {title(dataset)} instead. "
            f"Its figures and numbers say nothing about the paper's claims, and no verdict is given."
        )
    elif dataset in STAND_INS.values():
        texts.append(f"This page was made from {title(dataset)}, not from the paper's data: no verdict is given.")
    if smoke:
        texts.append("This is a smoke run: few images and few epochs, to show that the page runs. No verdict is given.")
    return Notice("Not the paper's experiment", " ".join(texts)) if texts else Notice()


def conclusive(dataset: str, *, smoke: bool) -> bool:
    """Whether a page may give a verdict on the paper: a full run on one of the paper's data sets."""
    return not smoke and dataset in STAND_INS


@dataclass(frozen=True)
class Opening:
    """What a reader must know before the page begins: the banner, and what differs from the book's run."""

    banner: Notice
    difference: str

    def __repr__(self) -> str:
        return "\n".join(text for text in (repr(self.banner), self.difference) if text)

    def _repr_html_(self) -> str:
        line = f'<p class="rerun">{escape(self.difference)}</p>' if self.difference else ""
        return self.banner._repr_html_() + line


def opening(run: TrainedRun, book: TrainConfig, *, asked: str | None = None, smoke: bool = False) -> Opening:
    """The banner of `notice`, and how `run` differs from the book's run of `book`, with the two held-out ELBOs.

    The book's ELBO is read from the store; where this machine has not trained that run, the line says so. Nothing is
    said of the book's own run.
    """
    banner = notice(run.config.dataset, asked=asked, smoke=smoke)
    changed = {
        field.name: (getattr(run.config, field.name), getattr(book, field.name))
        for field in dataclasses.fields(TrainConfig)
        if getattr(run.config, field.name) != getattr(book, field.name)
    }
    if not changed:
        return Opening(banner, "")
    there = _stored_here(book)
    what = ", ".join(
        f"{_words(name)} {_value(name, here)} (there {_value(name, its)})" for name, (here, its) in changed.items()
    )
    theirs = (
        f"{there.heldout.elbo:.1f} in the book's run on this machine"
        if there
        else "the book's own run is not stored on this machine"
    )
    differ = there and {"dataset", "classes", "limit"} & set(changed)
    other = "; they are of different images, so they do not compare" if differ else ""
    return Opening(
        banner,
        f"This page differs from the book's own in: {what}. "
        f"Held-out ELBO in nats per image: {run.heldout.elbo:.1f} here, {theirs}{other}.",
    )


def _stored_here(book: TrainConfig) -> TrainedRun | None:
    """The stored run of `book`; None where there is none. Its data are not downloaded for the sake of one line."""
    try:
        missing = book.dataset in STAND_INS and not all(find_split(book.dataset, split) for split in SPLITS)
        return None if missing else stored(book)
    except DataError:
        return None


def _words(name: str) -> str:
    return {"latent_dim": "K =", "dataset": "data", "limit": "images"}.get(name, name.replace("_", " "))


def _value(name: str, value: object) -> str:
    if name == "dataset":
        return title(str(value))
    return "all" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
