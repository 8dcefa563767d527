"""Arrays in, matplotlib `Figure` out. No model reaches this package, and no figure is shown or saved by it."""

from vaelib.plotting.charts import (
    bound_ladder,
    contours,
    curve_panels,
    curves,
    dots,
    estimator_variance,
    heat_maps,
    learning_curve,
    over_sizes,
    panels,
    reparameterization,
    spans,
    trade_off,
)
from vaelib.plotting.codes import code_panels, factor_maps, histograms, latent_scatter, posterior_and_q, scree
from vaelib.plotting.diagrams import tiles, vae_diagram
from vaelib.plotting.images import image_grid, image_rows, manifold, tile

__all__ = [
    "bound_ladder",
    "code_panels",
    "contours",
    "curve_panels",
    "curves",
    "dots",
    "estimator_variance",
    "factor_maps",
    "heat_maps",
    "histograms",
    "image_grid",
    "image_rows",
    "latent_scatter",
    "learning_curve",
    "manifold",
    "over_sizes",
    "panels",
    "posterior_and_q",
    "reparameterization",
    "scree",
    "spans",
    "tile",
    "tiles",
    "trade_off",
    "vae_diagram",
]
