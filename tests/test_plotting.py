"""Figures: what is in them, for every latent size, and that making one changes nothing else."""

import numpy as np
import pytest

from vaelib import plotting
from vaelib.training import Epoch

RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(40, 3))
LABELS = np.arange(40) % 3
UNLABELLED = np.full(40, -1)
IMAGES = RNG.random((9, 6))
AXIS = np.linspace(-2, 2, 41)
HISTORY = [Epoch(i, -100.0, 2.0, -102.0 + i, 1e-3, 0.1) for i in (1, 2, 3)]

FIGURES = {
    "rows": lambda: plotting.image_rows({"input": IMAGES, "output": IMAGES[:4]}, (2, 3)),
    "one row of one": lambda: plotting.image_rows({"input": IMAGES[:1]}, (2, 3)),
    "grid": lambda: plotting.image_grid(IMAGES, (2, 3), n_cols=4),
    "grid of one": lambda: plotting.image_grid(IMAGES[:1], (2, 3)),
    "manifold K=1": lambda: plotting.manifold(np.zeros((12, 6)), (2, 3), np.linspace(-1, 1, 12), (0,)),
    "short manifold K=1": lambda: plotting.manifold(np.zeros((3, 6)), (2, 3), np.linspace(-1, 1, 3), (0,)),
    "manifold K=2": lambda: plotting.manifold(IMAGES, (2, 3), [-1, 0, 1], (0, 1)),
    "manifold K=10": lambda: plotting.manifold(IMAGES, (2, 3), [-1, 0, 1], (7, 3)),
    "scatter K=1": lambda: plotting.latent_scatter(CODES[:, :1], LABELS, dims=(0,)),
    "scatter K=2": lambda: plotting.latent_scatter(CODES[:, :2], LABELS, class_names=("a", "b", "c")),
    "scatter K=3": lambda: plotting.latent_scatter(CODES, LABELS, dims=(0, 2)),
    "scatter unlabeled": lambda: plotting.latent_scatter(CODES, UNLABELLED),
    "scatter unlabeled K=1": lambda: plotting.latent_scatter(CODES[:, :1], UNLABELLED, dims=(0,)),
    "scatter of 30 classes": lambda: plotting.latent_scatter(CODES, np.arange(40) % 30),
    "posterior K=1": lambda: plotting.posterior_and_q([AXIS], np.exp(-(AXIS**2)), [0.2], [0.5]),
    "posterior K=2": lambda: plotting.posterior_and_q(
        [AXIS, AXIS], np.exp(-np.add.outer(AXIS**2, AXIS**2)), [0.2, 0], [0.5, 0.1], picture=IMAGES, title="gap"
    ),
    "posterior in one pixel": lambda: plotting.posterior_and_q([AXIS, AXIS], np.pad([[1.0]], (20, 20)), [0, 0], [1, 1]),
    "scree K=1": lambda: plotting.scree({"norm": [3.0]}),
    "scree K=20": lambda: plotting.scree({"norm": np.arange(20), "sum": np.arange(20)}, reference={"sum": np.ones(20)}),
    "scree of nothing": lambda: plotting.scree({"KL": np.zeros(3)}),
    "learning curve": lambda: plotting.learning_curve(HISTORY, -99.0),
    "one epoch": lambda: plotting.learning_curve(HISTORY[:1]),
    "spans": lambda: plotting.spans(["a", "b"], [0, 1], [2, 3], {"own": [1, 2], "mean": [0.5, 1.5]}, xlabel="score"),
    "one span": lambda: plotting.spans(["a"], [0], [0], {"own": [0]}),
    "dots": lambda: plotting.dots({"a": {1: [1.0, 2], 2: [2.0]}, "b": {1: [np.nan]}}, diagonal=True, ylabel="found"),
    "dots of nothing": lambda: plotting.dots({"a": {}}, level=2),
    "trade-off": lambda: plotting.trade_off({"K = 1": ([1, 2], [9, 8]), "K = 2": ([3], [4])}, [7, 10], xlabel="rate"),
    "trade-off of one": lambda: plotting.trade_off({"K = 1": ([1], [9])}, []),
    "sizes": lambda: plotting.over_sizes(
        (1, 2, 50), {"n": {"a": ([1, 2, 3], [0, 0, 1])}, "m": {"b": ([np.nan] * 3, [0] * 3)}}
    ),
    "one size": lambda: plotting.over_sizes((3,), {"n": {"a": ([np.nan], [0])}}),
    "panels of curves": lambda: plotting.curve_panels([2, 50], {"a": ({"y": [1, 2]}, {"y": [0, 1]}, {"top": 3})}),
    "heat maps": lambda: plotting.heat_maps({"a": [[0, 0.5]], "b": [[1, np.nan]]}, [2, 4], [0.1], clabel="error"),
    "heat maps of nothing": lambda: plotting.heat_maps({"a": [[np.nan]]}, [1], [1]),
    "diagram": lambda: plotting.vae_diagram((784, 400, 256, 128), 2),
    "linear diagram": lambda: plotting.vae_diagram((784,), 10),
    "tiles": lambda: plotting.tiles({"One": ["yes"] * 13, "Two": ["no"]}, {"yes": ("✓", 13), "no": ("✗", 1)}),
}


def global_noise():
    """The state of numpy's global generator, which no figure may use."""
    return np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.fixture(params=FIGURES)
def make(request):
    return FIGURES[request.param]


def test_a_figure_is_returned_and_nothing_else_changes(make):
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    settings, state = dict(mpl.rcParams), global_noise()
    figure = make()
    assert isinstance(figure, Figure)
    figure.canvas.draw()  # what cannot be drawn fails here, and warnings are errors
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == settings
    assert global_noise() == state


@pytest.mark.parametrize("name", ["grid", "manifold K=2", "scatter K=2", "scatter K=1", "learning curve"])
def test_figures_can_be_drawn_into_axes_of_our_own(name, monkeypatch):
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    ax = figure.subplots()
    calls = {
        "grid": lambda: plotting.image_grid(IMAGES, (2, 3), ax=ax),
        "manifold K=2": lambda: plotting.manifold(IMAGES, (2, 3), [-1, 0, 1], (0, 1), ax=ax),
        "scatter K=2": lambda: plotting.latent_scatter(CODES, LABELS, ax=ax),
        "scatter K=1": lambda: plotting.latent_scatter(CODES, LABELS, dims=(0,), ax=ax),
        "learning curve": lambda: plotting.learning_curve(HISTORY, ax=ax),
    }
    assert calls[name]() is figure
    assert figure.axes == [ax]
    assert ax.has_data()
    figure.canvas.draw()


def test_tile_puts_every_picture_in_its_place():
    pictures = np.arange(5)[:, None] * np.full((5, 6), 0.2)
    canvas = plotting.tile(pictures, (2, 3), 2, gap=1)
    assert canvas.shape == (3 * 3 - 1, 2 * 4 - 1)
    for i in range(5):
        top, left = 3 * (i // 2), 4 * (i % 2)
        assert canvas[top : top + 2, left : left + 3] == pytest.approx(0.2 * i)
    assert (canvas[2] == 0.5).all()
    assert (canvas[:, 3] == 0.5).all()
    assert (canvas[6:, 4:] == 0.5).all()  # the empty sixth place


def test_tile_keeps_rows_as_rows_and_clips():
    [[*row]] = plotting.tile([[0.0, 0.25, 0.5, 0.75]], (1, 4), 1)
    assert row == [0, 0.25, 0.5, 0.75]
    assert plotting.tile([[0.0, 0.25, 0.5, 0.75]], (2, 2), 1, gap=0).tolist() == [[0, 0.25], [0.5, 0.75]]
    assert plotting.tile([[-3.0, 7.0]], (1, 2), 1).tolist() == [[0, 1]]


def test_pictures_are_black_at_zero_and_white_at_one():
    [image] = plotting.image_grid([[0.0, 1.0]], (1, 2)).axes[0].images
    row = image.to_rgba(image.get_array())[0]
    assert row[0, :3].tolist() == [0, 0, 0]
    assert row[1, :3].tolist() == [1, 1, 1]
    # A dark picture stays dark: nothing is stretched to fill the scale.
    [image] = plotting.image_grid([[0.0, 0.1]], (1, 2)).axes[0].images
    assert image.to_rgba(image.get_array())[0, 1, 0] == pytest.approx(0.1, abs=0.01)


def test_rows_are_named_and_aligned():
    figure = FIGURES["rows"]()
    assert [ax.get_ylabel() for ax in figure.axes] == ["input", "output"]
    widths = {ax.images[0].get_array().shape[1] for ax in figure.axes}
    assert widths == {9 * 4 - 1}


def test_scatter_shows_every_code_under_its_label():
    [ax] = FIGURES["scatter K=3"]().axes
    assert [points.get_label() for points in ax.collections] == ["0", "1", "2"]
    for label, points in enumerate(ax.collections):
        np.testing.assert_allclose(points.get_offsets(), CODES[np.equal(LABELS, label)][:, [0, 2]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_{1}$", "$z_{3}$")
    colors = {tuple(points.get_facecolor()[0]) for points in ax.collections}
    assert len(colors) == 3


def test_scatter_of_one_dimension_gives_each_class_a_row():
    [ax] = FIGURES["scatter K=1"]().axes
    for row, points in enumerate(ax.collections):
        x, y = np.asarray(points.get_offsets()).T
        np.testing.assert_allclose(x, CODES[np.equal(LABELS, row), 0])
        assert (np.abs(y - row) <= 0.3).all()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "1", "2"]


def test_scatter_names_classes_and_the_lack_of_them():
    [named], [unlabelled] = FIGURES["scatter K=2"]().axes, FIGURES["scatter unlabeled"]().axes
    assert [points.get_label() for points in named.collections] == ["a", "b", "c"]
    assert [points.get_label() for points in unlabelled.collections] == ["unlabelled"]


def test_scree_is_in_decreasing_order_with_its_null_beside_it():
    figure = plotting.scree({"norm": [1.0, 3.0, 2.0]}, reference={"norm": [0.5, 0.1, 0.9]})
    trained, null = figure.axes[0].lines
    assert trained.get_xydata().tolist() == [[1, 3], [2, 2], [3, 1]]
    assert null.get_ydata().tolist() == [0.9, 0.5, 0.1]
    assert figure.axes[0].get_ylim()[0] == 0


def test_spans_have_a_row_for_each_name_from_the_top_with_its_marks():
    [ax] = FIGURES["spans"]().axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert [segment.tolist() for segment in ax.collections[0].get_segments()] == [[[0, 0], [2, 0]], [[1, 1], [3, 1]]]
    own, mean = ax.lines
    assert (own.get_label(), own.get_xydata().tolist()) == ("own", [[1, 0], [2, 1]])
    assert mean.get_xydata().tolist() == [[0.5, 0], [1.5, 1]]


def test_learning_curve_shows_the_history_and_the_held_out_value():
    curve, level = FIGURES["learning curve"]().axes[0].lines
    assert curve.get_xydata().tolist() == [[1, -101], [2, -100], [3, -99]]
    assert set(level.get_ydata()) == {-99}
    assert len(FIGURES["one epoch"]().axes[0].lines) == 1


def test_the_diagram_names_the_networks_it_draws():
    texts = " ".join(text.get_text() for text in FIGURES["diagram"]().axes[0].texts)
    assert "784 → 400 → 256 → 128" in texts
    assert "128 → 256 → 400 → 784" in texts


def test_the_regions_of_a_posterior_that_equals_q_are_its_ellipses():
    """50 % and 95 % of a Gaussian lie within its ellipses of those radii, wherever the contours came from."""
    x, y = np.linspace(-1, 3, 401), np.linspace(-3, 1, 401)
    mu, sigma = np.array([1.0, -1.0]), np.array([0.5, 0.2])
    density = np.exp(-0.5 * np.add.outer(((x - mu[0]) / sigma[0]) ** 2, ((y - mu[1]) / sigma[1]) ** 2))
    ax = plotting.posterior_and_q([x, y], density, mu, sigma).axes[0]
    outlines = [path.vertices for path in ax.collections[-1].get_paths()]
    ellipses = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == 200][::-1]  # 95 %, 50 %
    for outline, ellipse in zip(outlines, ellipses, strict=True):
        np.testing.assert_allclose(np.abs(outline - mu).max(0), np.abs(ellipse - mu).max(0), atol=0.02)


def test_dots_show_every_value_and_its_mean():
    figure = plotting.dots({"a": {5: [1.0, 3.0, np.nan], 20: [4.0]}}, diagonal=True)
    ax = figure.axes[0]
    shown = [line.get_ydata().tolist() for line in ax.lines if line.get_marker() == "o"]
    assert shown == [[1, 3], [4]]
    assert [bar.get_segments()[0][0, 1] for bar in ax.collections] == [2, 4]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["5", "20"]
    assert ax.lines[-1].get_ydata().tolist() == [5, 20]  # where a value would equal its x


@pytest.mark.parametrize("ylim", [None, (None, None)])
def test_no_dot_lies_outside_the_shared_scale(ylim):
    labels = {} if ylim is None else {"ylim": ylim}
    figure = plotting.dots({"a": {1: [2.0]}, "b": {1: [2.1, 1.0]}, "c": {1: [5.0]}}, **labels)
    low, high = figure.axes[0].get_ylim()
    assert low < 1.0
    assert high > 5.0
    assert bool(low == 0) is (ylim is None)


def test_tiles_run_on_from_group_to_group_and_have_the_sign_of_their_kind():
    figure = plotting.tiles({"One": ["yes", "no"] * 6, "Two": ["no"]}, {"yes": ("✓", 6), "no": ("✗", 7)})
    [ax] = figure.axes
    words = [text.get_text() for text in ax.texts]
    numbered = [word for word in words if "\n" in word]
    assert numbered == [f"{n}\n{'✗' if n == 13 or n % 2 == 0 else '✓'}" for n in range(1, 14)]
    assert {"yes: 6", "no: 7", "One", "Two"} <= set(words)
    squares = [patch for patch in ax.patches if patch.get_width() > 0.9]
    assert len(squares) == 13
    assert squares[0].get_facecolor() == squares[2].get_facecolor() != squares[1].get_facecolor()
    assert len({patch.get_xy() for patch in squares}) == 13  # none lies on another


def test_a_trade_off_has_its_runs_its_means_and_lines_of_one_total():
    figure = plotting.trade_off({"K = 1": ([1, 3], [8, 10]), "K = 2": ([6], [4])}, [11])
    ax = figure.axes[0]
    means, runs, more, line = (each.get_xydata().tolist() for each in ax.lines)
    assert (runs, more, means) == ([[1, 8], [3, 10]], [[6, 4]], [[2, 9], [6, 4]])
    assert not np.array_equal(ax.lines[1].get_color(), ax.lines[2].get_color())
    assert [x + y for x, y in line] == pytest.approx([11, 11])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["K = 1", "K = 2"]


def test_sizes_stand_where_they_are_on_a_logarithmic_axis():
    figure = plotting.over_sizes((1, 5, 50), {"units": {"VAE": ([1, 4, 9], [0, 1, 2])}}, diagonal="units")
    [ax] = figure.axes
    assert (ax.get_xscale(), ax.get_ylabel()) == ("log", "units")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "5", "50"]
    assert ax.lines[0].get_xydata().tolist() == [[1, 1], [5, 4], [50, 9]]
    x, y = ax.lines[-1].get_data()
    assert x.tolist() == y.tolist()
    assert (x[0], x[-1]) == (1, pytest.approx(50))


def test_heat_maps_share_a_scale_and_print_what_they_shade():
    figure = plotting.heat_maps({"a": [[0.0, 0.5], [0.25, np.nan]], "b": [[1.0, 1.0]] * 2}, [2, 4], [0, 0.3])
    first, second = figure.axes[:2]
    assert [text.get_text() for text in first.texts] == ["0.00", "0.50", "0.25"]  # of the missing one nothing
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0, 1)
    assert [label.get_text() for label in first.get_xticklabels()] == ["2", "4"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["0", "0.3"]
    assert first.get_ylim()[0] < first.get_ylim()[1]  # the first row is the lowest


def test_panels_of_curves_share_a_scale_and_a_key():
    first, second = ({"y": [1, 2]}, {"y": [0, 1]}, {}), ({"y": [4, 9]}, {"y": [0, 1]}, {"top": 12})
    figure = plotting.curve_panels([2, 50], {"a": first, "b": second}, xlabel="K", ylabel="error")
    a, b = figure.axes
    assert a.get_ylim() == b.get_ylim()
    assert a.get_ylim()[0] == 0
    assert a.get_ylim()[1] > 12
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["y", "top"]
    assert [ax.get_legend() for ax in figure.axes] == [None, None]
    assert [label.get_text() for label in b.get_xticklabels()] == ["2", "50"]
    assert (a.get_ylabel(), b.get_ylabel()) == ("error", "")
