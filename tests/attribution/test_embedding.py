"""Whole-number inputs, explained in the space of the layer that embeds them."""

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

import igc
from igc.errors import DataError, MethodError, ModelError
from igc.testing.probes import smooth_network, toy_samples

N, LENGTH, WIDTH, WORDS = 90, 3, 4, 11


class Reader(nn.Module):
    """Embeds tokens, and passes them to a small network."""

    def __init__(self, seed=0, masked=False, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(seed)
        self.words = nn.Embedding(WORDS, WIDTH, dtype=dtype)
        self.head = smooth_network(LENGTH * WIDTH, 2, seed=seed).to(dtype)
        self.masked = masked
        self.seen = []

    def forward(self, tokens):
        self.seen.append(tokens.dtype)
        embedded = self.words(tokens)
        if self.masked:
            embedded = embedded * (tokens != 0)[..., None]
        return self.head(embedded.flatten(1))


class Mixed(nn.Module):
    """Tokens beside numbers."""

    def __init__(self, reader):
        super().__init__()
        self.reader = reader

    def forward(self, numbers, tokens):
        return self.reader(tokens) + numbers[:, :2] * numbers[:, 2:4]


def samples(seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, WORDS, size=(N, LENGTH)), random.normal(size=(N, 2))


def run(model, data, method="igc", **options):
    return igc.attribute(model, data, method, **{"progress": False, "embedding": "words", **options})


def embedded(model, tokens):
    return model.words(torch.as_tensor(tokens)).detach().flatten(1).numpy()


@pytest.mark.parametrize("method", ["igc", "igac", "integrated_gradients", "expected_gradients", "bsc", "naive_ttest"])
@pytest.mark.parametrize("baselines", ["data", "zero"])
def test_tokens_are_explained_as_the_rest_of_the_model_is_on_their_embeddings(method, baselines):
    model = Reader()
    tokens, responses = samples()
    result = run(model, (tokens, responses), method, baselines=baselines, points=4)
    rest = igc.attribute(
        model.head, (embedded(model, tokens), responses), method, baselines=baselines, points=4, progress=False
    )
    assert result["attribution"].dims == ("target", "position", "embedding")
    flat = result["attribution"].values.reshape(2, -1)
    np.testing.assert_allclose(flat, rest["attribution"], rtol=0, atol=1e-10 * np.abs(rest["attribution"]).max())
    np.testing.assert_allclose(result["score"], rest["score"], rtol=1e-10)


def test_the_map_equals_that_of_captum_from_the_zero_embedding():
    model = Reader()
    tokens, responses = samples()
    result = run(model, (tokens, responses), "integrated_gradients", baselines="zero")

    def from_embedding(values):
        return model.head(values.flatten(1))

    values = model.words(torch.as_tensor(tokens)).detach()
    oracle = captum.attr.IntegratedGradients(from_embedding).attribute(values, target=1, method="gausslegendre")
    np.testing.assert_allclose(result["attribution"][1], oracle.detach().mean(dim=0), rtol=0, atol=1e-6)


def test_tokens_stay_whole_numbers_and_the_model_stays_as_it_was():
    model = Reader(dtype=torch.float32)
    result = run(model, samples(), points=2)
    assert set(model.seen) == {torch.int64}
    assert np.isfinite(result["attribution"]).all()
    assert not any(layer._forward_hooks for layer in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_hooks_are_gone_after_a_failure():
    model = Reader()
    with pytest.raises(MethodError, match="median"):
        run(model, samples(), baselines="median")
    model.spare = nn.Embedding(WORDS, WIDTH, dtype=torch.float64)
    with pytest.raises(ModelError, match="not called"):
        run(model, samples(), embedding="spare")
    with pytest.raises(DataError, match="takes"):
        run(model, samples(), embedding="head.0")
    assert not any(layer._forward_hooks for layer in model.modules())


def test_tokens_and_numbers_are_explained_together():
    model = Mixed(Reader())
    tokens, responses = samples()
    numbers = np.random.default_rng(5).normal(size=(N, 4))
    for embedding in ("reader.words", (None, "reader.words")):
        result = run(model, ((numbers, tokens), responses), embedding=embedding, points=8)
        assert result["attribution_1"].dims == ("target", "position_1", "embedding_1")
        total = result["attribution_0"].sum("voxel_0") + result["attribution_1"].sum(["position_1", "embedding_1"])
        np.testing.assert_allclose(total, result["score"], rtol=0, atol=1e-12)
        summed = igc.sum_embedding(result)
        assert summed["attribution_1"].dims == ("target", "position_1")
        np.testing.assert_allclose(summed["attribution_1"], result["attribution_1"].sum("embedding_1"))
        np.testing.assert_array_equal(summed["standard_error_0"], result["standard_error_0"])
        assert "standard_error_1" not in summed


def test_regions_and_features_may_be_made_of_tokens():
    model, labels = Reader(), np.array([1, 1, 2])
    result = run(model, samples(), "bsc", rois={"words": labels}, features="words", orders=2)
    tokens = igc.sum_embedding(result)["attribution"]
    np.testing.assert_allclose(result["roi_attribution"][:, 1], tokens[:, 2], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["roi_attribution"].sum("roi"), result["score"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["attribution"][:, 0], result["attribution"][:, 1], rtol=0, atol=0.3)
    masks = run(model, samples(), points=2, rois={"words": {"first": labels == 1}})
    assert masks["roi_attribution"].shape == (2, 2)


def test_a_bag_of_words_is_one_embedding():
    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.EmbeddingBag(WORDS, WIDTH, mode="mean", dtype=torch.float64)
            self.head = smooth_network(WIDTH, 2)

        def forward(self, tokens):
            return self.head(self.words(tokens))

    result = run(Bag(), samples(), points=2)
    assert result["attribution"].shape == (2, WIDTH)


@pytest.mark.parametrize(
    ("model", "change", "options", "error", "words"),
    [
        (Reader(), {}, {"embedding": None}, MethodError, "'words'"),
        (Reader(), {}, {"embedding": "wrods"}, MethodError, "'wrods'"),
        (Reader(), {}, {"embedding": ("words", None)}, MethodError, "each input"),
        (Reader(masked=True), {}, {}, ModelError, "masks"),
        (Reader(), {"dtype": float}, {}, (DataError, MethodError), "embedding|whole"),
        (Reader(), {"add": 5}, {}, DataError, "15"),
        (lambda tokens: tokens, {}, {}, ModelError, "Module"),
    ],
)
def test_what_cannot_be_embedded_ends_in_one_clear_line(model, change, options, error, words):
    tokens, responses = samples()
    tokens = (tokens + change.get("add", 0)).astype(change.get("dtype", np.int64))
    with pytest.raises(error, match=words):
        run(model, (tokens, responses), **options)


def test_images_of_whole_numbers_need_no_embedding():
    model = smooth_network(6, 3)
    inputs, responses = toy_samples(50, 6, model)
    whole = np.round(inputs * 10).astype(np.uint8)
    result = igc.attribute(model, (whole, responses), points=2, progress=False)
    np.testing.assert_allclose(
        result["attribution"],
        igc.attribute(model, (whole.astype(float), responses), points=2, progress=False)["attribution"],
    )
