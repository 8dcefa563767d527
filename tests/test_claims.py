"""The ledger of claims: on evidence that is ideal, null, broken or missing, on planted truths, on our own tables."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal

import vaelib
from tools.chapters import ROOT, pages, read_notebook
from vaelib import bounds, claims, densities, evidence, measures, report, results
from vaelib.claims import examples, identities, judging, known, robustness, strengths, theory, variants
from vaelib.claims.judging import Claim, Entry, Unrecorded, judged, word
from vaelib.claims.page import SECTIONS, Ledger
from vaelib.config import TrainConfig
from vaelib.report.verdicts import DID_NOT_HOLD, HELD, NOT_MEASURED, TOO_CLOSE

BY_ID = {claim.id: claim for claim in claims.LEDGER}

# The rows of the project's list of claims and tests, with the claims that cover each.
WANTED = {
    "the ELBO bounds log p(x) and is tight": ("bound", "tight", "after-training"),
    "eq. 18": ("equation-18",),
    "reparameterization lets gradients flow": ("equation-19", "sampling"),
    "reconstructs held-out digits, repairs strokes": ("reconstruction", "repair"),
    "clusters": ("separation", "neighbors", "layout"),
    "smooth manifold": ("smooth",),
    "generates": ("samples", "generation"),
    "blurry": ("blur", "blur-by-objective"),
    "AE ≥ VAE at large K, equal at small K": ("noisy-digits",),
    "VAE more robust on synthetic data": ("robust", "robust-by-kl"),
    "independent factors": ("figure-7", "trained-axes", "interpretability"),
    "true dimension is found; boots are 2-D": ("pruning", "figure-8", "two-dimensions"),
    "the prior shapes the code": ("prior-clusters", "prior-sparsity"),
    "over-large networks memorize": ("memorization", "memorizing-encoder", "no-guarantee"),
}


def test_there_are_enough_claims_each_with_a_name_of_its_own():
    assert len(claims.LEDGER) >= 25
    assert len(BY_ID) == len(claims.LEDGER)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in BY_ID)
    sections = [[int(part) for part in claim.section.split(".")] for claim in claims.LEDGER]
    assert sections == sorted(sections)


@pytest.mark.parametrize("row", WANTED)
def test_every_row_of_the_list_of_claims_is_covered(row):
    for name in WANTED[row]:
        assert BY_ID[name].judge is not None, name


def labels():
    """Every place in the book that can be referred to."""
    found = set()
    for path in pages():
        cells = read_notebook(path)["cells"] if path.suffix == ".ipynb" else [{"source": path.read_text("utf-8")}]
        for cell in cells:
            found |= set(re.findall(r"^\(([\w-]+)\)=$", cell["source"], re.M))
            found |= set(re.findall(r'name="(fig-[\w-]+)"', cell["source"]))
    return found


def test_links_lead_to_places_in_the_book():
    there = labels()
    assert {"eq-10", "fig-8", "erratum-13"} <= there
    assert {claim.id: claim.shown for claim in claims.LEDGER if claim.shown not in there} == {}


# Words


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([HELD], "reproduced"),
        ([HELD, HELD], "reproduced"),
        ([HELD, DID_NOT_HOLD], "partly"),
        ([HELD, TOO_CLOSE], "partly"),
        ([DID_NOT_HOLD], "not reproduced"),
        ([DID_NOT_HOLD, TOO_CLOSE], "not reproduced"),
        ([TOO_CLOSE, TOO_CLOSE], "too close to call"),
        ([HELD, NOT_MEASURED], "cannot be tested"),
        ([HELD, None], "not measured yet"),
        ([NOT_MEASURED, None], "not measured yet"),
    ],
)
def test_the_word_follows_from_the_outcomes(outcomes, said):
    assert word(outcomes) == word(reversed(outcomes)) == said


def test_nothing_judged_has_no_word():
    with pytest.raises(ValueError, match="without parts"):
        word([])


@pytest.mark.parametrize("given", [{}, {"judge": lambda: (), "reason": "Both."}])
def test_a_claim_has_a_judge_or_a_reason(given):
    with pytest.raises(ValueError, match="claim 'a' needs a judge"):
        Claim("a", "2.3", "A.", "None.", "eq-10", **given)


def test_what_cannot_be_tested_says_why():
    untested = [judged(claim) for claim in claims.LEDGER if claim.judge is None]
    assert untested
    assert all(entry.word == "cannot be tested" and entry.why.endswith(".") for entry in untested)


# Evidence that is ideal, null or broken, for all that is judged by recorded runs

IDEAL = {
    "planes": {"gain": 60, "votes": 0.3, "halfway": 0.7, "distance": 0.7},
    "figures": {"trust": 0.9, "continuity": 0.9, "trust_pca": 0.7, "continuity_pca": 0.7}
    | {"trust_tsne": 0.8, "continuity_tsne": 0.8, "fastest": 0.2, "labels_off": 0.05, "told_prior": 0.52},
    "layout": {"outside": 1, "told": 0.3},
    "repair": {"vae": 0.3, "ae": 0.5, "pca": 0.6, "mean": 0.7, "whole": 0.8},
    "boots_axes": {"one": 0.8, "one_rank": 0.9, "apart": 0.8, "apart_rank": 0.9, "as_numbered": 0.8},
    "boots_dimension": {"kl": 2, "sum_fall": 2, "norm": 2},
    "variants_autoencoder": {"sigma": 0.001, "behind": 0.2, "spread": 3},
    "variants_pinwheel": {"inside": 0.95},
    "variants_sparse": {"share": 0.8},
    "strengths_kl": {"told_vae": 0.52, "told_ae": 0.9, "sharp_drawn": 0.1, "sharp_vae": 0.2, "regained": 0.8},
    "strengths_axes": {"apart": 0.8, "apart_rank": 0.9, "loss_0": 0.1, "loss_45": 0.3},
    "strengths_widths": {"heldout": -150, "gap": 30, "at_code": 10},
    "strengths_seeds": {"heldout": -150},
    "strengths_halves": {"encoder": 30, "decoder": 30, "neither": 10},
    "compared": {"generates": 0},
}
NULL = {
    "planes": {"gain": -5, "votes": -0.1, "halfway": 1.1, "distance": 1.2},
    "figures": {"trust": 0.5, "continuity": 0.5, "trust_pca": 0.7, "continuity_pca": 0.7}
    | {"trust_tsne": 0.8, "continuity_tsne": 0.8, "fastest": 0.9, "labels_off": 0.9, "told_prior": 0.9},
    "layout": {"outside": -1, "told": -0.3},
    "repair": {"vae": 1.1, "ae": 0.5, "pca": 0.6, "mean": 0.7, "whole": 1.8},
    "boots_axes": {"one": 0.1, "one_rank": 0.1, "apart": 0.1, "apart_rank": 0.1, "as_numbered": -0.8},
    "boots_dimension": {"kl": 15, "sum_fall": 15, "norm": 20},
    "variants_autoencoder": {"sigma": 0.1, "behind": 5, "spread": 0.5},
    "variants_pinwheel": {"inside": 0.2},
    "variants_sparse": {"share": 0.2},
    "strengths_kl": {"told_vae": 0.9, "told_ae": 0.7, "sharp_drawn": 0.9, "sharp_vae": 0.95, "regained": 0.1},
    "strengths_axes": {"apart": 0.1, "apart_rank": 0.1, "loss_0": 0.3, "loss_45": 0.1},
    "strengths_widths": {"heldout": -150, "gap": 30, "at_code": -10},
    "strengths_seeds": {"heldout": -150},
    "strengths_halves": {"encoder": 10, "decoder": 10, "neither": 30},
    "compared": {"generates": 1},
}
RECORDED = [  # judged by recorded runs alone
    *(claim.id for part in (strengths, examples) for claim in part.CLAIMS if claim.judge),
    *("prior-pull", "prior-clusters", "prior-sparsity"),
]
RECORDED = [name for name in RECORDED if name not in ("prior-axes", "layers")]


BOOTS = ("boots_dimension", evidence.BOOTS), ("boots_axes", examples.BOOTS_2D)


def shift(part, config, good):
    """What is added to the measures of some configs, so that the differences that claims are about are there."""
    sign = 1 if good else -1
    if part == "strengths_widths":
        own = {"heldout": 20 * sign * (config.hidden != ()), "gap": 20 * sign * (config.hidden == (256,))}
        return own | {"at_code": 20 * sign * (config.model == "autoencoder")}
    if part == "variants_sparse" and good and config.prior == "standard-normal":
        return {"share": -0.8}
    return {}


@pytest.fixture
def world(monkeypatch):
    """Recorded runs as a test wants them: `plant(values, n)` with n seeds, by part."""

    def plant(values, *, n=5, good=True, broken=False):
        def current(part, config):
            if part == "planted_dimension":
                own = dict.fromkeys(("kl", "sum_fall"), config["true_dim"] + (0 if good else 3))
            elif part.startswith("boots_") and (part, config) not in BOOTS:
                return pd.DataFrame(columns=["seed", "data"])
            else:
                more = shift(part, config, good)
                own = {name: value + more.get(name, 0) for name, value in values[part].items()}
            wide = part == "strengths_seeds" and (config.hidden != ()) == good
            rows = [
                {"seed": seed, "data": "a"}
                | {
                    name: math.nan if broken else value + (-1) ** seed * seed * (1 if wide else 1e-4) * (name != "kl")
                    for name, value in own.items()
                }
                for seed in range(1, n + 1)
            ]
            return pd.DataFrame(rows, columns=["seed", "data", *own])

        monkeypatch.setattr(results, "current", current)

    return plant


@pytest.mark.parametrize("name", RECORDED)
def test_ideal_evidence_reproduces_a_claim(world, name):
    world(IDEAL)
    entry = judged(BY_ID[name])
    assert entry.word == "reproduced", entry.parts


@pytest.mark.parametrize("name", RECORDED)
def test_null_evidence_does_not(world, name):
    world(NULL, good=False)
    entry = judged(BY_ID[name])
    assert entry.word == "not reproduced", entry.parts


@pytest.mark.parametrize("name", RECORDED)
def test_evidence_that_is_no_number_leaves_a_claim_untested(world, name):
    world(IDEAL, broken=True)
    assert judged(BY_ID[name]).word == "cannot be tested"


@pytest.mark.parametrize("name", RECORDED)
def test_two_seeds_give_no_verdict(world, name):
    world(IDEAL, n=2)
    assert judged(BY_ID[name]).word == "not measured yet"


@pytest.mark.parametrize("name", [*RECORDED, "sigma-zero"])
def test_no_rows_give_no_verdict_and_name_the_table(world, name):
    world(IDEAL, n=0)
    entry = judged(BY_ID[name])
    assert (entry.word, entry.parts) == ("not measured yet", ())
    assert re.fullmatch(r"`results/\w+\.csv` has no current rows for it", entry.why)


def test_rows_that_other_code_made_are_not_read(monkeypatch):
    assert judged(BY_ID["reconstruction"]).word == "reproduced"
    monkeypatch.setattr(results, "part_digest", lambda part: "0" * 16)
    assert judged(BY_ID["reconstruction"]).word == "not measured yet"


def test_rows_from_different_data_are_refused(monkeypatch):
    rows = pd.DataFrame({"seed": [1, 2, 3], "data": ["a", "a", "b"], "gain": [1.0, 2.0, 3.0]})
    monkeypatch.setattr(results, "current", lambda part, config: rows)
    with pytest.raises(ValueError, match=r"results/planes\.csv holds rows of one config from 2 sets of data"):
        judging.numbers("planes", examples.MNIST)


def test_a_difference_is_taken_seed_by_seed(monkeypatch):
    tables = {
        1: pd.DataFrame({"seed": [1, 2, 3], "data": "a", "gap": [10.0, 20.0, 30.0]}),
        2: pd.DataFrame({"seed": [2, 3, 4], "data": "a", "gap": [1.0, 2.0, 3.0]}),
    }
    monkeypatch.setattr(results, "current", lambda part, config: tables[config])
    assert judging.difference("planes", 1, 2, "gap") == [19, 28]


def test_a_table_that_nothing_lists_is_missing():
    with pytest.raises(Unrecorded, match=r"results/dice\.csv"):
        judging.rows("dice", examples.MNIST)


# What is computed

COMPUTED = {
    "two-forms": "reproduced",
    "equation-8": "not reproduced",
    "bound": "reproduced",
    "tight": "reproduced",
    "closer": "partly",
    "equation-14": "partly",
    "equation-15": "partly",
    "equation-16": "reproduced",
    "equation-18": "reproduced",
    "sampling": "partly",
    "equation-19": "reproduced",
    "algorithm-1": "partly",
    "after-training": "partly",
    "norm-penalty": "reproduced",
    "prior-axes": "not reproduced",
    "layers": "not reproduced",
    "equation-4": "reproduced",
    "equation-7": "reproduced",
    "equation-9": "reproduced",
    "deterministic": "reproduced",
    "equation-20": "partly",
    "pushed-to-zero": "partly",
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_computed_comes_out_the_same_everywhere(name):
    assert judged(BY_ID[name]).word == COMPUTED[name]


def test_every_claim_is_computed_or_recorded_or_says_why_not():
    others = {"sigma-zero", *(claim.id for claim in robustness.CLAIMS)}
    untested = {claim.id for claim in claims.LEDGER if claim.judge is None}
    assert {*COMPUTED, *RECORDED, *others, *untested} == set(BY_ID)


def times(factor, function):
    return lambda *args, **kwargs: factor * function(*args, **kwargs)


BROKEN = {
    "equation-18": (densities, "kl_to_standard_normal", lambda f: times(1.01, f)),
    "equation-16": (densities, "gaussian_log_likelihood", lambda f: times(1.01, f)),
    "equation-15": (densities, "bernoulli_log_likelihood", lambda f: times(1.01, f)),
    "equation-19": (densities, "reparameterise", lambda f: lambda mu, logvar, **how: f(mu, logvar + 0.2, **how)),
    "bound": (densities, "kl_to_standard_normal", lambda f: times(-1, f)),
    "two-forms": (densities, "kl_to_standard_normal", lambda f: times(1.01, f)),
    "tight": (bounds, "log_marginal", lambda f: times(1.01, f)),
    "equation-7": (densities, "kl_to_standard_normal", lambda f: times(1.01, f)),
    "equation-9": (densities, "gaussian_log_likelihood", lambda f: times(1.01, f)),
    "after-training": (bounds, "log_marginal", lambda f: lambda model, x, **how: bounds.elbo(model, x).elbo.detach()),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_library_shows_in_the_ledger(monkeypatch, name):
    module, function, mistake = BROKEN[name]
    before = [part.outcome for part in BY_ID[name].judge()]
    monkeypatch.setattr(module, function, mistake(getattr(module, function)))
    after = [part.outcome for part in BY_ID[name].judge()]
    assert any((a, b) == (HELD, DID_NOT_HOLD) for a, b in zip(before, after, strict=True))


# Planted truths


def test_on_a_planted_manifold_of_three_dimensions_the_ledger_says_three():
    """Of the points by TwoNN, to half a dimension; of five trained VAEs, as the one whole number in the interval."""
    setting = {"true_dim": 3, "points": 6000, "epochs": 40, "latent_dim": 20}
    counted = judging.numbers("planted_dimension", setting)

    def said(target):
        near = {"within": 0.5, "error": 0.5, "known": "where it was planted"}
        return report.equal("", counted["twonn"], target, of="", **near).outcome

    assert len(counted["kl"]) == 5
    assert [target for target in range(1, 9) if said(target) == HELD] == [3]
    assert {said(target) for target in (1, 2, 4, 5, 6, 7, 8)} == {DID_NOT_HOLD}
    _, low, high = report.interval(counted["kl"])
    assert [whole for whole in range(1, 21) if low <= whole <= high] == [3]


def test_three_planted_dimensions_are_not_two(world):
    """The claim that boots have two, on evidence of three."""
    world(IDEAL | {"boots_dimension": {"kl": 3, "sum_fall": 3}})
    assert judged(BY_ID["two-dimensions"]).word == "not reproduced"


def test_on_shuffled_labels_votes_fall_to_chance(monkeypatch):
    config = TrainConfig("digits", epochs=60)
    runs = [vaelib.fit(replace(config, seed=seed), progress=False, device="cpu") for seed in (1, 2, 3)]
    train, test = config.load("train"), config.load("test")
    codes = [[measures.posterior(run.model, data.images).mu for data in (train, test)] for run in runs]
    order = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(0))
    shuffled = [measures.knn_accuracy(a, train.labels[order], b, test.labels) for a, b in codes]
    told = [measures.knn_accuracy(a, train.labels, b, test.labels) for a, b in codes]
    assert min(told) > 0.5
    assert all(abs(share - 0.1) < 4 * math.sqrt(0.1 * 0.9 / len(test.labels)) for share in shuffled)

    load = TrainConfig.load
    mixed = replace(train, labels=train.labels[order])
    monkeypatch.setattr(TrainConfig, "load", lambda self, split: mixed if split == "train" else load(self, split))
    votes = [evidence.plane(run)["votes"] for run in runs]
    rows = pd.DataFrame({"seed": [1, 2, 3], "data": "a", "votes": votes, "gain": 1.0, "halfway": 1.0, "distance": 1.0})
    monkeypatch.setattr(results, "current", lambda part, config: rows)
    assert judged(BY_ID["separation"]).word in ("not reproduced", "too close to call")


def test_the_evidence_of_a_linear_gaussian_model_is_exact_to_a_hundredth_of_a_nat():
    given = known.known()
    covariance = given.truth.weights @ given.truth.weights.T + given.truth.noise**2 * torch.eye(5).double()
    exact = multivariate_normal(given.truth.mean.numpy(), covariance.numpy()).logpdf(given.x.numpy())
    one_draw = bounds.log_marginal(given.model, given.x, n_samples=1, generator=known.seeded()).numpy()
    assert np.abs(one_draw - exact).max() < 0.01
    assert np.abs(given.evidence().numpy() - exact).max() < 1e-8
    assert np.abs(given.bound(*given.encode()).detach().numpy() - exact).max() < 1e-5


# The tables of the project, the page and the terminal


def test_nothing_is_unmeasured_but_what_another_chapter_records():
    lacking = {claim.id for claim in claims.LEDGER if judged(claim).word == "not measured yet"}
    assert lacking <= {claim.id for claim in robustness.CLAIMS}


def small():
    held = report.exact("one | and one", True, of="two", rule="it is 2")
    close = report.above("more", [0.0, 1.0, -1.0], 0, of="nats")
    facts = {"test": "A test.", "shown": "eq-10"}
    return Ledger(
        (
            Entry(Claim("sum", "2.3", "A sum.", judge=lambda: (held,), **facts), (held,), "reproduced"),
            Entry(
                Claim("why", "3.1", "A theorem.", reason="It is one.", **facts), (), "cannot be tested", "It is one."
            ),
            Entry(Claim("both", "4.1.2", "Both.", judge=lambda: (held, close), **facts), (held, close), "partly"),
        )
    )


def test_the_summary_counts():
    said = "Of 3 claims: 1 reproduced, 1 partly, 0 not reproduced, 0 too close to call and 1 that cannot be tested."
    assert small().summary() == said
    late = replace(small().entries[0], word="not measured yet")
    assert "1 not measured yet" in Ledger((late,)).summary()


def test_the_table_has_a_row_for_each_claim_and_links():
    shown, metadata = small()._repr_mimebundle_()
    rows = [line for line in shown["text/markdown"].splitlines() if line.startswith("| **")]
    assert len(rows) == 3
    assert "one \\| and one" in rows[0]
    assert "Held if it is 2." in rows[0]
    assert "{ref}`Equation <eq-10>`" in rows[0]
    assert "**Too close to call**: more." in rows[2]
    assert metadata["vaelib"]["claims"] == {"sum": "reproduced", "why": "cannot be tested", "both": "partly"}
    for text in ("1. A sum. (§2.3, sum)", "It is one.", "✓ reproduced", small().summary()):
        assert text in shown["text/plain"]


def test_a_claim_of_a_section_without_a_heading_is_refused():
    [entry, *_] = small().entries
    with pytest.raises(ValueError, match=r"claim 'sum': §5\.1 is in none of"):
        Ledger((replace(entry, claim=replace(entry.claim, section="5.1")),)).groups()


def test_every_claim_has_a_heading():
    found = Ledger(tuple(Entry(claim, (), "partly") for claim in claims.LEDGER)).groups()
    assert list(found) == list(SECTIONS.values())
    assert sum(map(len, found.values())) == len(claims.LEDGER)


def test_the_overview_is_a_picture_with_words_for_those_who_cannot_see_it():
    html = small().overview()._repr_html_()
    assert html.count("<img src=") == 1
    assert 'alt="A numbered tile for each claim' in html
    assert f"<figcaption>{small().summary()}</figcaption>" in html


def test_the_first_page_shows_what_the_page_of_claims_glues():
    cells = read_notebook(ROOT / "book" / "claims.ipynb")["cells"]
    assert any('glue("ledger", ledger.overview()' in cell["source"] for cell in cells)
    opening = (ROOT / "book" / "index.md").read_text("utf-8").splitlines()[:6]
    assert opening[2:5] == ["```{glue:} ledger", ":doc: claims.ipynb", "```"]


def test_make_claims_prints_the_ledger(monkeypatch, capsys):
    from vaelib.cli import main

    monkeypatch.setattr(claims, "ledger", small)
    assert main(["claims"]) == 0
    assert capsys.readouterr().out.strip() == repr(small())


def test_no_module_of_the_ledger_types_an_outcome():
    """A verdict comes from `above`, `below`, `equal`, `every_seed` or `exact`: none is built by hand."""
    for path in (ROOT / "vaelib" / "claims").glob("*.py"):
        assert not re.search(r"\bVerdict\(", path.read_text("utf-8")), path.name
    assert {variants, theory, identities} <= set(claims.PARTS)


def test_what_is_drawn_only_here_is_what_is_recorded(world):
    assert [list(names) for names in claims.only_here().values()] == [
        ["VAE", "AE", "PCA", "mean"],
        ["VAE", "AE", "PCA", "mean"],
        ["walks", "samples", "codes"],
        ["VAE", "PCA", "t-SNE"],
        ["VAE", "PCA", "t-SNE"],
    ]
    world(IDEAL)
    drawn = claims.only_here()
    for k in (2, 20):
        assert drawn[f"error in an erased square, K = {k}"]["PCA"] == pytest.approx([0.6] * 5, abs=1e-3)
    assert drawn["trustworthiness"]["t-SNE"] == pytest.approx([0.8] * 5, abs=1e-3)
    world(IDEAL, n=0)
    assert not any(values for names in claims.only_here().values() for values in names.values())
