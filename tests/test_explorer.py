"""The explorer's export: what a page holds is what was trained, and what cannot be shown is refused in one line."""

import base64
import dataclasses
import gzip
import json
import math
import zlib
from itertools import pairwise

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits

from vaelib import VAE, Autoencoder, TrainConfig, explorer, fit, load_dataset, runs
from vaelib.cli import main
from vaelib.explorer import pack


@pytest.fixture
def digits():
    return load_dataset("digits", "test")


def model_of(k=2, hidden=(16, 8), data_dim=64, seed=0, **options):
    torch.manual_seed(seed)
    return VAE(k, hidden, data_dim, **options)


def unpacked(packed):
    """The layers, codes, labels and pixels that `packed` holds, read without the code that wrote them."""
    content, meta, at = gzip.decompress(packed.content), packed.meta, 0

    def take(kind, *shape):
        nonlocal at
        array = np.frombuffer(content, kind, math.prod(shape), at).reshape(shape)
        at += array.nbytes
        return array

    layers = []
    for widths in (meta["encoder"], meta["decoder"]):
        for n_in, n_out in pairwise(widths):
            if meta["bits"] == 16:
                high, low = take("i1", n_out, n_in), take("u1", n_out, n_in)
                weight = (256 * high.astype(int) + low) * take("<f4", n_in)
            else:
                weight = take("<f4", n_out, n_in)
            layers.append((weight, take("<f4", n_out)))
    n = meta["images"]
    codes, labels, pixels = take("<f4", n, meta["latentDim"]), take("<i2", n), take("u1", n, meta["encoder"][0])
    assert at == len(content)
    return layers, codes, labels, pixels


@pytest.mark.parametrize("k", [1, 2, 10])
def test_what_is_packed_is_the_model_and_its_images(k, digits):
    model = model_of(k)
    packed = pack.pack(model, digits, 50)
    layers, codes, labels, pixels = unpacked(packed)
    linear = [layer for layer in (*model.encoder, *model.decoder) if hasattr(layer, "weight")]
    for layer, (weight, bias) in zip(linear, layers, strict=True):
        true = layer.weight.detach().double().numpy()
        half_a_step = 0.5 * np.abs(true).max(0) / 32767
        assert (np.abs(weight - true) <= 1.01 * half_a_step).all()
        assert (bias == layer.bias.detach().numpy()).all()
    shown = torch.from_numpy(pixels.astype(np.float32)) / 255
    assert (shown - digits.images[:50]).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.allclose(torch.from_numpy(codes.copy()), model.encode(shown)[0], atol=1e-6)
    assert labels.tolist() == digits.labels[:50].tolist()
    assert packed.meta["classes"] == {label: str(label) for label in range(10)}
    assert len(packed.meta["dims"]) == min(k, 2)
    assert set(packed.meta["dims"]) <= set(packed.meta["active"]) <= set(range(k))


def test_bytes_are_packed_exactly(tmp_path, rng_bytes):
    np.savez(tmp_path / "bytes.npz", images=rng_bytes)
    data = load_dataset(tmp_path / "bytes.npz", "test")
    *_, labels, pixels = unpacked(pack.pack(model_of(data_dim=20), data))
    assert (pixels == (255 * data.images).round().numpy()).all()
    assert (labels == -1).all()


@pytest.fixture
def rng_bytes():
    return np.random.default_rng(0).integers(0, 256, (60, 4, 5)).astype(np.uint8)


def test_the_checksum_notices_a_changed_byte(digits):
    content = bytearray(pack.pack(model_of(), digits, 5).content)
    content[len(content) // 2] ^= 1
    with pytest.raises((gzip.BadGzipFile, EOFError, zlib.error)):
        gzip.decompress(bytes(content))


def test_the_plane_holds_all_dots(digits):
    packed = pack.pack(model_of(), digits, 100)
    _, codes, _, _ = unpacked(packed)
    assert (np.abs(codes - packed.meta["center"]) < packed.meta["half"]).all()


def test_only_dimensions_in_use_get_a_slider(digits):
    model = model_of(5)
    with torch.no_grad():
        model.encoder[-1].weight[[1, 3, 4]] = 0  # their means are constant,
        model.encoder[-1].weight[[6, 8, 9]] = 0
        model.encoder[-1].bias[[6, 8, 9]] = 0
        model.encoder[-1].bias[[1, 3, 4]] = 0  # and their q the prior
        model.encoder[-1].weight[[0, 2]] *= 20
    packed = pack.pack(model, digits, 50)
    assert sorted(packed.meta["active"]) == packed.meta["dims"] == [0, 2]


def test_a_column_without_weights_stays_without():
    whole, scale = pack.quantize(torch.tensor([[0.0, 1.0], [0.0, -2.0]]))
    assert whole.tolist() == [[0, 16384], [0, -32767]]
    assert scale[0] == 0


def test_an_outlier_coarsens_only_its_own_column():
    weight = torch.randn(30, 20, generator=torch.Generator().manual_seed(0))
    weight[:, 0] *= 1e5
    whole, scale = pack.quantize(weight)
    error = (whole * scale - weight).abs().amax(0)
    assert error[1:].max() < 1e-4 < error[0]


def test_compare_of_a_model_with_itself_and_with_another(digits):
    model, other = model_of(seed=0), model_of(seed=1)
    assert pack.compare(model, model, digits.images) == (0, 0)
    apart = pack.compare(model, other, digits.images)
    assert apart.pixel > pack.PIXEL and apart.nats > pack.NATS


def test_weights_that_16_bits_hold_too_coarsely_take_32(digits):
    model = model_of(seed=3)
    with torch.no_grad():
        model.decoder[-1].weight *= 3000
    packed = pack.pack(model, digits, 50)
    coarse = pack.compare(model, pack.stored_model(model), digits.images[:50])
    assert coarse.nats > pack.NATS or coarse.pixel > pack.PIXEL
    assert packed.meta["bits"] == 32 and packed.deviation == (0, 0)
    layers, *_ = unpacked(packed)
    assert (layers[-1][0] == model.decoder[-1].weight.detach().numpy()).all()


def test_elbo_at_is_that_of_torch_distributions(digits):
    model, x = model_of(3), digits.images[:20]
    eps = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mu, logvar = model.encode(x)
        q = Independent(Normal(mu, (0.5 * logvar).exp()), 1)
        logits = model.decode(mu + eps * (0.5 * logvar).exp())
        kl = kl_divergence(q, Independent(Normal(torch.zeros(3), torch.ones(3)), 1).expand([20]))
    expected = -binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1) - kl
    assert torch.allclose(pack.elbo_at(model, x, eps), expected, atol=1e-4)
    hard = x.round()
    likelihood = Independent(Bernoulli(logits=model.decode(mu)), 1).log_prob(hard)
    assert torch.allclose(model.log_likelihood(hard, mu), likelihood, atol=1e-3)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Autoencoder(2, (8,), 64), "Autoencoder"),
        (VAE(2, (8,), 64, "gaussian"), "'gaussian'"),
        (VAE(2, (8,), 64, prior="clustered"), "prior"),
        (VAE(2, (8,), 65), "64 pixels"),
    ],
    ids=["autoencoder", "gaussian", "prior", "other pixels"],
)
def test_a_model_that_cannot_be_shown_is_refused_in_one_line(model, said, digits):
    with pytest.raises(ValueError, match=said) as refused:
        pack.pack(model, digits)
    assert "\n" not in str(refused.value)


def test_rows_of_numbers_are_pictures_one_pixel_high(make_dataset):
    assert pack.pack(model_of(data_dim=7), make_dataset(torch.rand(5, 7))).meta["shape"] == [1, 7]


def test_pixels_beyond_one_are_refused(digits):
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\]"):
        pack.pack(model_of(), dataclasses.replace(digits, images=3 * digits.images))


def test_the_page_loads_nothing_and_has_a_still_picture(tiny_digits):
    run = fit(tiny_digits, progress=False)
    shown = explorer.show(run)
    page = BeautifulSoup(shown.page(), "html.parser")
    assert not page.select("script[src], link, iframe, [type=module]")
    assert page.select_one(".still img")["src"].startswith("data:image/png;base64,iVBOR")
    assert page.select_one(".still img")["alt"] and page.select_one(".still p").get_text().strip()
    assert page.select_one(".live").has_attr("hidden")
    assert json.loads(page.select_one("script.meta").string) == json.loads(json.dumps(shown.packed.meta))
    assert base64.b64decode(page.select_one("script.content").string) == shown.packed.content
    assert page.title.get_text() == "8 × 8 digits, K = 2"
    assert "8 × 8 digits" in repr(shown) and len(repr(shown)) < 1000
    assert shown.html() in shown.page()


def test_names_are_text_and_no_markup(tiny_npz, npz_writer, tmp_path):
    path = tmp_path / "a <b> & $c.npz"
    npz_writer(path, seed=0)
    shown = explorer.show(fit(dataclasses.replace(tiny_npz, dataset=str(path)), progress=False))
    page = BeautifulSoup(shown.page(), "html.parser")
    assert page.h1.get_text() == "a <b> & $c.npz, K = 2"
    assert "a <b> & $c.npz" in page.select_one(".about").get_text()


@pytest.mark.parametrize(
    ("k", "called"), [(1, "The latent axis"), (2, "The latent plane"), (5, "A plane of the latent")]
)
def test_the_surface_is_called_what_it_is(k, called, tiny_digits):
    shown = explorer.show(fit(dataclasses.replace(tiny_digits, latent_dim=k), progress=False))
    assert BeautifulSoup(shown.html(), "html.parser").select_one(".plane")["aria-label"].startswith(called)


def test_a_class_of_a_set_is_named(monkeypatch, tiny_digits):
    run = fit(dataclasses.replace(tiny_digits, classes=(3, 8)), progress=False)
    assert explorer.show(run).name == "8 × 8 digits, 3, 8, K = 2"


@pytest.mark.parametrize("by", ["name", "folder"])
def test_a_stored_run_is_exported_by_name_or_folder(by, tiny_npz, tmp_path, capsys):
    run = runs.get_or_train(tiny_npz, progress=False)
    [folder] = [path for path in runs.store().iterdir() if path.is_dir()]
    assert main(["explore", folder.name if by == "name" else str(folder), "-o", str(tmp_path / "page.html")]) == 0
    said = capsys.readouterr().out
    assert ": tiny.npz, K = 2, " in said and "16-bit weights" in said
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == explorer.show(run).page()


def test_an_experiment_on_images_of_ones_own(tiny_npz, tmp_path, trainings):
    words = ["explore", "mnist", "--dataset", tiny_npz.dataset, "--latent-dim", "3", "--epochs", "1", "--seed", "2"]
    assert main([*words, "-o", str(tmp_path / "page.html")]) == 0
    [config] = trainings
    assert (config.dataset, config.latent_dim, config.epochs, config.seed) == (tiny_npz.dataset, 3, 1, 2)
    assert main([*words, "-o", str(tmp_path / "page.html")]) == 0
    assert len(trainings) == 1


def refusal(capsys, *words):
    assert main(["explore", *map(str, words)]) == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    return line


def test_what_cannot_be_exported_is_said_in_one_line(tmp_path, capsys, trainings):
    page = tmp_path / "page.html"
    assert "no run is called 'mnits'" in refusal(capsys, "mnits", "-o", page)
    assert "seed can be changed of mnist" in refusal(capsys, "abc", "--seed", 3, "-o", page)
    assert "cannot be written" in refusal(capsys, "mnist", "-o", tmp_path / "none" / "page.html")
    assert "cannot be written" in refusal(capsys, "mnist", "-o", tmp_path)
    (tmp_path / "empty").mkdir()
    assert "holds no run" in refusal(capsys, tmp_path / "empty", "-o", page)
    np.savez(tmp_path / "bright.npz", images=3 * np.random.default_rng(0).random((40, 7)))
    assert "pixels in [0, 1]" in refusal(capsys, "mnist", "--dataset", tmp_path / "bright.npz", "-o", page)
    assert trainings == [] and not page.exists()


def test_an_autoencoder_is_refused_by_name(tiny_npz, tmp_path, capsys):
    runs.get_or_train(dataclasses.replace(tiny_npz, model="autoencoder"), progress=False)
    [folder] = [path for path in runs.store().iterdir() if path.is_dir()]
    assert "give a VAE, no Autoencoder" in refusal(capsys, folder, "-o", tmp_path / "page.html")


def test_a_damaged_run_is_named(tiny_npz, tmp_path, capsys):
    runs.get_or_train(tiny_npz, progress=False)
    [folder] = [path for path in runs.store().iterdir() if path.is_dir()]
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    line = refusal(capsys, folder, "-o", tmp_path / "page.html")
    assert str(folder) in line and "weights.safetensors is not what was written" in line


def test_the_config_of_a_run_is_read_from_its_folder(tiny_npz):
    runs.get_or_train(tiny_npz, progress=False)
    [folder] = [path for path in runs.store().iterdir() if path.is_dir()]
    run = runs.read(folder)
    assert isinstance(run.config, TrainConfig) and run.config == tiny_npz
