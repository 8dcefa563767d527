"""Hostile input to every public function that takes tensors: an error, or a result that is no wrong number.

Each function is written down with the axes and the kinds of its arguments. `hypothesis` draws sizes and numbers; then
one argument after the other is made wrong, in every way.
"""

import inspect
import math
import warnings
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from vaelib import (
    bounds,
    densities,
    dimensions,
    factors,
    latent,
    measures,
    models,
    pictures,
    priors,
    quadrature,
    robustness,
    synthetic,
    variants,
)

ERRORS = (ValueError, TypeError, RuntimeError, IndexError)
SHAPE = (4, 4)  # of images: D = 16
FIXED = {"D": 16, "G": 784, "B": 3, "2": 2, "A": 2}  # what a model, a prior or a call fixes; of A there may be one
SIZES = {
    "E": (7, 12),
    "N": (6, 9),
    "M": (10, 13),
    "S": (2, 3),
    "K": (2, 4),
    "P": (2, 3),
    "Q": (4, 5),
    "F": (2, 3),
    "H": (5, 6),
}


class Case(NamedTuple):
    """A function and what its arguments are: axes by letter, `*` for any axes before them, and a kind of `KINDS`."""

    function: Callable
    arguments: dict[str, str]
    more: dict = {}  # noqa: RUF012 - never changed
    broadcasts: bool = False  # or takes a single coordinate, as documented


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def model():
    torch.manual_seed(0)
    return models.VAE(FIXED["B"], (5,), FIXED["D"]).requires_grad_(False)


MODEL, NORMAL = model(), priors.make_prior("standard-normal", FIXED["B"])
CLUSTERED, SPARSE = (priors.make_prior(name, FIXED["B"]) for name in ("clustered", "sparse"))
LINEAR = synthetic.linear_gaussian(latent_dim=2, data_dim=FIXED["D"], noise=0.5, seed=0, dtype=torch.float32)

KINDS = {
    "code": lambda shape, g: torch.randn(shape, generator=g),
    "pixel": lambda shape, g: torch.rand(shape, generator=g),
    "label": lambda shape, g: torch.arange(math.prod(shape)).reshape(shape) % 3,
}


def of_model(name, arguments, **more):
    return Case(lambda **given: getattr(MODEL, name)(**given), arguments, more)


CASES = {
    "bernoulli_log_likelihood": Case(densities.bernoulli_log_likelihood, {"x": "*D pixel", "logits": "*D code"}),
    "gaussian_log_likelihood": Case(
        densities.gaussian_log_likelihood, {"x": "*D code", "mean": "*D code", "logvar": "*D code"}
    ),
    "kl_to_standard_normal": Case(densities.kl_to_standard_normal, {"mu": "NK code", "logvar": "NK code"}),
    "kl_per_dimension": Case(densities.kl_per_dimension, {"mu": "NK code", "logvar": "NK code"}),
    "reparameterise": Case(densities.reparameterise, {"mu": "NK code", "logvar": "NK code"}, broadcasts=True),
    "StandardNormal.log_prob": Case(NORMAL.log_prob, {"z": "*B code"}),
    "clustered.log_prob": Case(CLUSTERED.log_prob, {"z": "*B code"}),
    "sparse.log_prob": Case(SPARSE.log_prob, {"z": "*B code"}),
    "kl_estimate": Case(priors.kl_estimate, {"z": "SNB code", "mu": "NB code", "logvar": "NB code"}, {"prior": SPARSE}),
    "inclusive_kl": Case(priors.inclusive_kl, {"mu": "NB code", "logvar": "NB code"}, {"prior": CLUSTERED}),
    "mmd": Case(priors.mmd, {"mu": "NB code", "logvar": "NB code"}, {"prior": SPARSE}),
    "squared_mmd": Case(priors.squared_mmd, {"a": "NK code", "b": "NK code"}),
    "encode": of_model("encode", {"x": "*D pixel"}),
    "embed": of_model("embed", {"x": "*D pixel"}),
    "decode": of_model("decode", {"z": "*B code"}),
    "mean_image": of_model("mean_image", {"z": "*B code"}),
    "log_likelihood": of_model("log_likelihood", {"x": "ND pixel", "z": "*NB code"}),
    "elbo": Case(bounds.elbo, {"x": "ND pixel"}, {"model": MODEL}),
    "log_marginal": Case(bounds.log_marginal, {"x": "ND pixel"}, {"model": MODEL, "n_samples": 3}),
    "posterior": Case(measures.posterior, {"images": "*D pixel"}, {"model": MODEL}),
    "active_units": Case(measures.active_units, {"mu": "NK code"}),
    "column_sums": Case(measures.column_sums, {"weight": "HK code"}),
    "column_norms": Case(measures.column_norms, {"weight": "HK code"}),
    "neighbour_votes": Case(
        measures.neighbour_votes, {"reference": "MK code", "labels": "M label", "queries": "NK code"}, {"k": 3}
    ),
    "confusions": Case(measures.confusions, {"labels": "N label", "voted": "N label"}),
    "confusion_table": Case(measures.confusion_table, {"labels": "N label", "voted": "N label"}),
    "knn_accuracy": Case(
        measures.knn_accuracy,
        {"z": "MK code", "labels": "M label", "z_test": "NK code", "labels_test": "N label"},
        {"k": 3},
    ),
    "halfway": Case(measures.halfway, {"images": "ND pixel", "train": "MD pixel"}, {"model": MODEL}),
    "left_out_accuracy": Case(measures.left_out_accuracy, {"z": "NK code", "labels": "N label"}),
    "nearest_distance": Case(measures.nearest_distance, {"pictures": "NE pixel", "images": "ME pixel"}),
    "pca_codes": Case(measures.pca_codes, {"train": "ME pixel", "test": "NE pixel"}, {"n_components": 2}),
    "correlations": Case(measures.correlations, {"a": "NP code", "b": "NQ code"}),
    "rotated": Case(measures.rotated, {"z": "N2 code"}, {"degrees": 30.0}, broadcasts=True),
    "cluster_purity": Case(measures.cluster_purity, {"z": "NK code", "labels": "N label"}, {"n_clusters": 2}),
    "hoyer_sparsity": Case(measures.hoyer_sparsity, {"z": "NK code"}),
    "binary_entropy": Case(measures.binary_entropy, {"images": "NE pixel"}),
    "laplacian_variance": Case(measures.laplacian_variance, {"images": "*D pixel"}, {"image_shape": SHAPE}),
    "relative_sharpness": Case(
        measures.relative_sharpness, {"pictures": "*D pixel", "images": "*D pixel"}, {"image_shape": SHAPE}
    ),
    "mean_image_log_likelihood": Case(measures.mean_image_log_likelihood, {"train": "ME pixel", "test": "*E pixel"}),
    "two_sample_accuracy": Case(measures.two_sample_accuracy, {"a": "NK code", "b": "NK code"}),
    "sizes": Case(dimensions.sizes, {"images": "ND pixel"}, {"model": MODEL}),
    "elbow": Case(dimensions.elbow, {"values": "H code"}),
    "steepest": Case(dimensions.steepest, {"values": "H code"}),
    "above": Case(dimensions.above, {"values": "*H code"}, {"threshold": 0.1}),
    "near": Case(dimensions.near, {"values": "*H code"}, {"threshold": 0.1}),
    "brightness": Case(factors.brightness, {"images": "NE pixel"}),
    "boot_heights": Case(factors.boot_heights, {"images": "*G pixel"}),
    "correlation_ratios": Case(factors.correlation_ratios, {"codes": "NK code", "factors": "NF code"}, {"bins": 3}),
    "one_axis_each": Case(factors.one_axis_each, {"strength": "*KF pixel"}),
    "as_numbered": Case(factors.as_numbered, {"strength": "*A2 pixel"}),
    "mutual_information_gap": Case(
        factors.mutual_information_gap, {"codes": "NK code", "factors": "NF code"}, {"bins": 3}
    ),
    "separated_predictability": Case(factors.separated_predictability, {"codes": "NK code", "factors": "NF code"}),
    "total_correlation": Case(factors.total_correlation, {"codes": "NK code"}),
    "dci": Case(factors.dci, {"codes": "MK code", "factors": "MF code"}, {"trees": 2}),
    "turned": Case(factors.turned, {"codes": "N2 code", "factors": "NF code"}, {"angles": (0, 30)}, broadcasts=True),
    "different_axes": Case(factors.different_axes, {"strength": "*A2 pixel"}),
    "own_units": Case(variants.own_units, {"codes": "NK code"}),
    "common_sigma": Case(
        variants.common_sigma, {"x": "ND pixel", "codes": "NB code", "log_sigma": "S code"}, {"model": MODEL}
    ),
    "in_clusters": Case(variants.in_clusters, {"z": "NB code"}, {"prior": CLUSTERED}),
    "coordinate_worth": Case(variants.coordinate_worth, {"x": "ND pixel", "codes": "NB code"}, {"model": MODEL}),
    "in_use": Case(variants.in_use, {"worth": "*K code"}, {"whole": 1.0}),
    "sparse_share": Case(variants.sparse_share, {"codes": "NK code"}),
    "latent_grid": Case(latent.latent_grid, {"values": "H code"}, {"latent_dim": 3}),
    "most_informative": Case(latent.most_informative, {"mu": "NK code", "logvar": "NK code"}),
    "decode_means": Case(latent.decode_means, {"z": "*B code"}, {"model": MODEL}),
    "reconstruct": Case(latent.reconstruct, {"x": "*D pixel"}, {"model": MODEL}),
    "first_of_each_class": Case(latent.first_of_each_class, {"labels": "N label"}),
    "erased": Case(pictures.erased, {"images": "ND pixel"}, {"image_shape": SHAPE, "side": 3, "seed": 0}),
    "left_over": Case(pictures.left_over, {"rebuilt": "NE pixel", "images": "NE pixel", "damaged": "NE pixel"}),
    "linear_rebuild": Case(pictures.linear_rebuild, {"train": "ME pixel", "images": "NE pixel"}, {"n_components": 2}),
    "step_lengths": Case(pictures.step_lengths, {"start": "PB code", "end": "PB code"}, {"model": MODEL, "steps": 4}),
    "fastest_tenth": Case(pictures.fastest_tenth, {"lengths": "PH pixel"}),
    "pairs_of_classes": Case(pictures.pairs_of_classes, {"labels": "N label"}, {"n": 3, "seed": 0}),
    "labels_off": Case(pictures.labels_off, {"pictures": "NE pixel", "images": "ME pixel", "labels": "M label"}),
    "outside": Case(pictures.outside, {"codes": "NK code", "labels": "N label"}, {"outer": (0,), "inner": (1, 2)}),
    "normalised_error": Case(robustness.normalised_error, {"clean": "NE code", "rebuilt": "NE code"}),
    "error": Case(robustness.error, {"clean": "ND pixel", "seen": "ND pixel"}, {"model": MODEL}),
    "corrupted": Case(robustness.corrupted, {"images": "*E pixel"}, {"noise": "added", "share": 0.5, "seed": 0}),
    "expected": Case(robustness.expected, {"images": "*E pixel"}, {"noise": "added", "share": 0.5}),
    "best_logvar": Case(robustness.best_logvar, {"x": "NE code", "mean": "NE code"}, {"variance": "entry"}),
    "heel_height": Case(synthetic.heel_height, {"images": "*G pixel"}),
    "shaft_height": Case(synthetic.shaft_height, {"images": "*G pixel"}),
    "LinearGaussian.posterior": Case(LINEAR.posterior, {"x": "ND code"}),
    "LinearGaussian.log_evidence": Case(LINEAR.log_evidence, {"x": "ND code"}),
}


MODULES = (
    bounds,
    densities,
    dimensions,
    factors,
    latent,
    measures,
    pictures,
    priors,
    quadrature,
    robustness,
    synthetic,
)
# Tensors of no fixed meaning, parts of a training step, whose images were looked at before it, and sums of the above.
ELSEWHERE = {
    "integrate", "check_pixels", "elbo_terms", "rank_among", "own_axis", "among_turned", "known_scores",
    "minimise", "train_model", "elbo_loss", "reconstruction_loss", "shipped_loss", "outlier_loss",
    "counts", "of_points", "neighbors_kept",
}  # fmt: skip


def test_every_function_of_tensors_is_tried():
    public = {
        name: function
        for module in (*MODULES, variants)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    hints = {name: [p.annotation for p in inspect.signature(f).parameters.values()] for name, f in public.items()}
    of_tensors = {name for name, kinds in hints.items() if any("Tensor" in str(kind) for kind in kinds)}
    assert len(of_tensors) > 60
    assert of_tensors - set(CASES) == ELSEWHERE


# --- calling


@st.composite
def arguments(draw, case, **sizes):
    """Arguments as they should be, but for the `sizes` that are given."""
    sizes = FIXED | {name: draw(st.integers(*span)) for name, span in SIZES.items()} | sizes
    generator = seeded(draw(st.integers(0, 1000)))
    given = {}
    for name, text in case.arguments.items():
        axes, kind = text.split()
        given[name] = KINDS[kind]([sizes["N" if axis == "*" else axis] for axis in axes], generator)
    return given


def outcome(case, given):
    """What comes back, as a list of numbers' tensors; None for an error. A warning is no error."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            return list(tensors(case.function(**given, **case.more)))
        except ERRORS:
            return None


def tensors(result):
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, dict):
        yield from (tensor for each in result.values() for tensor in tensors(each))
    elif isinstance(result, tuple | list):
        yield from (tensor for each in result for tensor in tensors(each))
    else:
        yield torch.as_tensor(result)


def is_no_number(found):
    """An error, or nothing that could be taken for a number: no finite one, or not all of them."""
    return found is None or all(not each.numel() for each in found) or any(bool(each.isnan().any()) for each in found)


# --- what is wrong with the arguments: each of them, in every way


def shapes(case, drawn):
    """One argument with an axis that is longer, of length one, halved, missing, or too many: none is documented."""
    for name, text in case.arguments.items():
        axes, tensor = text.split()[0], drawn[name]
        others = "".join(other.split()[0] for key, other in case.arguments.items() if key != name)
        for i, axis in enumerate(axes):
            if axis in FIXED or (axis != "*" and axis in others):
                yield drawn | {name: torch.cat([tensor, tensor.narrow(i, 0, 1)], i)}
                if axis != "A":
                    yield drawn | {name: tensor.narrow(i, 0, 1)}
            if axis in "DG":
                yield drawn | {name: tensor.unflatten(i, (2, -1)).flatten(i - 1, i)}  # two of half the length
        if axes[0] != "*":
            yield drawn | {name: tensor[0]}
            yield drawn | {name: tensor[None]}


def numbers(case, drawn, *values, kinds=("code", "pixel")):
    """One argument with one of the values in one place."""
    for name, text in case.arguments.items():
        for value in values if text.split()[1] in kinds else ():
            for place in {0, drawn[name].numel() // 2, drawn[name].numel() - 1}:
                spoilt = drawn[name].clone()
                spoilt.view(-1)[place] = value
                yield drawn | {name: spoilt}


def types(case, drawn):
    """One argument of zeros and ones, as it should be and in another type."""
    for name, tensor in drawn.items():
        ones = tensor.abs().round().clamp(0, 1)
        for dtype in (torch.bool, torch.uint8, torch.int8, torch.int64):
            yield drawn | {name: ones}, drawn | {name: ones.to(dtype)}


def devices(case, drawn):
    """One argument on "meta", a device that holds no numbers: what came of it would be made up."""
    for name, tensor in drawn.items():
        yield drawn | {name: tensor.to("meta")}


# --- and what comes of it


def is_refused(case, drawn):
    return all(is_no_number(outcome(case, given)) for given in shapes(case, drawn))


def stays_nan(case, drawn):
    return all(is_no_number(outcome(case, given)) for given in numbers(case, drawn, math.nan))


def is_in_0_1(case, drawn):
    values = -0.01, 1.01, 255.0, -math.inf, math.inf
    return all(is_no_number(outcome(case, given)) for given in numbers(case, drawn, *values, kinds=("pixel",)))


def is_the_same(case, drawn):
    for good, other in types(case, drawn):
        expected, found = outcome(case, good), outcome(case, other)
        if found is not None and not (expected is not None and alike(expected, found)):
            return False
    return True


def alike(expected, found):
    pairs = zip(expected, found, strict=True)
    return all(torch.allclose(a.double(), b.double(), rtol=1e-3, atol=1e-4, equal_nan=True) for a, b in pairs)


def stays_there(case, drawn):
    results = (outcome(case, given) for given in devices(case, drawn))
    return all(found is None or any(each.device.type == "meta" for each in found) for found in results)


def is_nothing(case, drawn):
    return is_no_number(outcome(case, drawn))


def sums_nothing(case, drawn):
    found = outcome(case, drawn)
    return is_no_number(found) or all(bool((each == 0).all()) for each in found)


def is_sound(case, drawn):
    found = outcome(case, drawn)
    return found is not None and any(each.numel() for each in found)


def kinds(case):
    return [text.split()[1] for text in case.arguments.values()]


def axes(case):
    return "".join(text.split()[0] for text in case.arguments.values())


ALL = tuple(CASES)
OF_NOTHING = ("above", "near", "LinearGaussian.posterior")  # counts, which are 0, and a covariance without images
OF_PIXELS = ("elbo", "log_marginal", "binary_entropy", "mean_image_log_likelihood", "corrupted", "expected")
# The property, the functions that it is of, and sizes of axes. The first is the control of all others: they would pass
# a function that always fails.
PROPERTIES = {
    "what is sound is a number": (is_sound, ALL, {}),
    "another shape is an error": (is_refused, [name for name in ALL if not CASES[name].broadcasts], {}),
    "NaN is never made a number": (
        stays_nan,
        [name for name in ALL if {"code", "pixel"} & set(kinds(CASES[name])) and name != "erased"],  # as it may be
        {},
    ),
    "another type is an error or gives the same": (is_the_same, ALL, {}),
    "what lies elsewhere is an error or stays there": (stays_there, ALL, {}),
    "an empty batch has no numbers": (
        is_nothing,
        [name for name in ALL if set("*NMP") & set(axes(CASES[name])) and name not in OF_NOTHING],
        {"N": 0, "M": 0, "P": 0},
    ),
    "no dimension is an error or a sum of nothing": (
        sums_nothing,
        [name for name in ALL if "K" in axes(CASES[name])],
        {"K": 0},
    ),
    "pixels outside [0, 1] have no likelihood": (is_in_0_1, OF_PIXELS, {}),
}


def each():
    for title, (_, names, _) in PROPERTIES.items():
        for name in names:
            yield pytest.param(title, name, id=f"{title}: {name}")


@pytest.mark.parametrize(("title", "name"), list(each()))
@settings(max_examples=3, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(data=st.data())
def test_hostile_input(title, name, data):
    holds, _, sizes = PROPERTIES[title]
    assert holds(CASES[name], data.draw(arguments(CASES[name], **sizes)))
