from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from igc.report.images import ImagePainter, category_means, flatten_channels, image_outlines, label_edges, paint_labels
from igc.report.style import new_figure


def test_category_means_equal_a_loop_over_held_out_images(image_samples):
    images, responses, folds = (image_samples[name].values for name in ("inputs", "responses", "fold"))
    means = category_means(image_samples)
    for k in range(10):
        own = [images[n, 0] for n in range(len(images)) if folds[n] >= 0 and responses[n, k] == 1]
        np.testing.assert_allclose(means[k], np.mean(own, axis=0), rtol=1e-6)


def test_a_category_without_images_has_an_empty_mean(image_samples):
    means = category_means(image_samples, limit=3)
    assert (means[:3].max(axis=(1, 2)) > 0).all()
    assert not means[3:].any()


def test_channels_are_summed_so_that_the_picture_keeps_the_sum():
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    np.testing.assert_allclose(flatten_channels(values), values[0] + values[1] + values[2])


@given(arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 2)))
def test_label_edges_are_the_sides_between_differing_pixels(labels):
    rows, columns = labels.shape
    expected = set()
    for r in range(-1, rows + 1):
        for c in range(-1, columns + 1):
            here = labels[r, c] if 0 <= r < rows and 0 <= c < columns else 0
            right = labels[r, c + 1] if 0 <= r < rows and 0 <= c + 1 < columns else 0
            below = labels[r + 1, c] if 0 <= r + 1 < rows and 0 <= c < columns else 0
            if here != right:
                expected.add(((c + 0.5, r - 0.5), (c + 0.5, r + 0.5)))
            if here != below:
                expected.add(((c - 0.5, r + 0.5), (c + 0.5, r + 0.5)))
    found = label_edges(labels)
    assert set(found) == expected
    assert len(found) == len(expected)


def test_labels_without_colour_are_transparent():
    picture = paint_labels(np.array([[0, 1, 2]]), {1: "#ff0000"})
    np.testing.assert_allclose(picture[0], [[0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]])


def test_a_map_is_drawn_with_its_sum_over_channels_and_symmetric_limits(image_samples):
    axes = new_figure(2, 2).add_axes((0, 0, 1, 1))
    values = np.random.default_rng(1).normal(size=(2, 8, 8))
    ImagePainter((8, 8), image_outlines(image_samples)).draw(axes, 3, values, 0.7)
    (image,) = axes.get_images()
    assert image.get_clim() == (-0.7, 0.7)
    np.testing.assert_allclose(image.get_array(), values.sum(axis=0))
    assert axes.collections, "the outline of the category is missing"


def test_measured_values_have_no_outline(volume_samples):
    assert image_outlines(volume_samples) == {}
