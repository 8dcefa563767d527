"""What a page says about itself: which run it shows, and whether its data stand in for the paper's.

The objects returned here show as HTML in a page and as plain text in a terminal.
"""

from dataclasses import dataclass
from html import escape

from vaelib.data import STAND_INS
from vaelib.training import TrainedRun


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
    """Dataset and digest, what is not the plain VAE, K, epochs, seed and the held-out ELBO of a run, in one line."""
    config, heldout = run.config, run.heldout
    kind = {"autoencoder": " · autoencoder", "vae": ""}[config.model]
    if config.prior != "standard-normal":
        kind += f" · {config.prior} prior"
    if not config.follows_elbo:
        kind += f" · β = {config.beta:g}"
        kind += f" · {config.divergence_weight:g} × {config.divergence}" if config.divergence else ""
    result = ("log p(x|z)", heldout.log_likelihood) if heldout.elbo is None else ("ELBO", heldout.elbo)
    part = f", classes {', '.join(map(str, config.classes))}" if config.classes else ""
    return Line(
        f"{config.dataset}{part} (data {run.data_digest[:8]}){kind} · K = {config.latent_dim} · "
        f"{config.epochs} epochs · "
        f"batch {config.batch_size} · seed {config.seed} · held-out {result[0]} {result[1]:.1f} nats per image"
    )


def notice(dataset: str, *, asked: str | None = None, smoke: bool = False) -> Notice:
    """A banner for a page made from stand-in data or by a smoke run; empty for a full run on the data asked for.

    `dataset` is what was used and `asked` what the page is about (`resolve_dataset` may have put one for the other).
    """
    stood_for = asked if asked and asked != dataset else None
    texts = []
    if stood_for:
        texts.append(
            f"{stood_for} could not be found or downloaded, so this page was made from {dataset!r} instead. "
            f"Its figures and numbers say nothing about the paper's claims; the text, with any verdict in it, "
            f"describes the run on {stood_for}."
        )
    elif dataset in STAND_INS.values():
        texts.append(
            f"This page was made from {dataset!r}, not from the paper's data: no verdict is given, and the text "
            f"describes another run."
        )
    if smoke:
        texts.append("This is a smoke run: few images and few epochs, to show that the page runs. No verdict is given.")
    return Notice("Not the paper's experiment", " ".join(texts)) if texts else Notice()


def conclusive(dataset: str, *, smoke: bool) -> bool:
    """Whether a page may give a verdict on the paper: a full run on one of the paper's data sets."""
    return not smoke and dataset in STAND_INS


@dataclass(frozen=True)
class Verdicts:
    """A table of claims, what was measured and whether each held; the last column only on a page that may give it."""

    rows: tuple[tuple[str, str, bool], ...]
    given: bool

    def __repr__(self) -> str:
        return "\n".join(f"{claim}: {measured}{self._word(held, ': ')}" for claim, measured, held in self.rows)

    def _repr_html_(self) -> str:
        heads = ["Claim", "Measured here"] + ["Verdict"] * self.given
        body = "".join(
            "<tr>"
            + "".join(f"<td>{escape(cell)}</td>" for cell in (claim, measured, self._word(held))[: len(heads)])
            + "</tr>"
            for claim, measured, held in self.rows
        )
        return f"<table><thead><tr>{''.join(f'<th>{h}</th>' for h in heads)}</tr></thead><tbody>{body}</tbody></table>"

    def _word(self, held: bool, before: str = "") -> str:
        return before + ("held" if held else "did not hold") if self.given else ""


def verdicts(*rows: tuple[str, str, bool], dataset: str, smoke: bool) -> Verdicts:
    """What a chapter found: (claim, what was measured, whether it held), the last shown only where `conclusive`."""
    return Verdicts(rows, given=conclusive(dataset, smoke=smoke))
