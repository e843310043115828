"""Photographs and drawings are what they claim: measured on shapes whose outline is known."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from d2lstab.shift import drawings as module
from d2lstab.shift.drawings import (
    SIDE,
    add_noise,
    drawings,
    invert,
    outline,
    photographs,
    thicken,
)


def disk(radius=7.0, blur=4.0):
    """A disk of ink with a soft edge: half dark at ``radius``, linear within ``blur`` pixels."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    distance = np.hypot(x, y)
    return np.clip(0.5 + (radius - distance) / blur, 0, 1).reshape(1, -1), distance


def square():
    image = np.zeros((SIDE, SIDE))
    image[8:16, 8:16] = 1
    return image.reshape(1, -1)


def test_photographs_are_the_digits_in_their_order():
    shown = photographs()
    pixels, labels = load_digits(return_X_y=True)
    assert shown.inputs.shape == (1797, SIDE**2) and shown.inputs.dtype == torch.float32
    np.testing.assert_array_equal(shown.labels, labels)
    assert shown.inputs.min() >= 0 and shown.inputs.max() <= 1
    small = torch.nn.functional.interpolate(
        shown.inputs.reshape(-1, 1, SIDE, SIDE), size=(10, 10), mode="area"
    )[:, 0, 1:-1, 1:-1]
    original = pixels.reshape(-1, 8, 8) / 16
    pairs = zip(small, original, strict=True)
    correlations = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]
    assert min(correlations) > 0.9
    ink = pixels.sum() / 16 * (SIDE / 10) ** 2  # each pixel of 8 × 8 is 2.4 × 2.4 of them now
    assert shown.inputs.double().sum() == pytest.approx(
        ink, rel=0.06
    )  # less what is cut off below 0


def test_photographs_stand_on_paper_all_around():
    images = photographs().inputs.reshape(-1, SIDE, SIDE)
    border = torch.cat([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], 1)
    assert border.max() < 0.1


def test_photographs_are_the_caller_s_own_and_can_be_trained_on():
    first = photographs()
    first.inputs.zero_()
    assert photographs().inputs.max() == 1
    module._photographs.cache_clear()  # so that the next call has to make them
    with torch.inference_mode():
        photographs()
    assert not photographs().inputs.is_inference()


def test_the_outline_of_a_disk_is_a_ring_of_the_thickness_asked_for():
    image, distance = disk()
    for thickness in (1.0, 1.5, 2.5):
        ring = outline(image, thickness).numpy()[0]
        ink = ring.sum() / (2 * np.pi * 7)  # area over the length of the circle
        assert ink == pytest.approx(thickness, rel=0.1)
        far = abs(distance.ravel() - 7) > thickness / 2 + 0.75
        assert ring[far].max() < 0.1
        on = abs(distance.ravel() - 7) < 0.3
        assert ring[on].min() > 0.65


def test_the_outline_of_nothing_and_of_ink_everywhere_is_nothing():
    assert outline(np.zeros((2, SIDE**2))).max() == 0
    assert outline(np.ones((2, SIDE**2))).max() == 0


def test_an_outline_leaves_the_middle_of_a_stroke_white():
    shown = photographs().inputs
    inside = shown > 0.9
    assert shown[inside].mean() > 0.9 and outline(shown)[inside].mean() < 0.35


def test_drawings_are_noisy_outlines_of_the_photographs_in_the_same_order():
    drawn, shown = drawings(), photographs()
    assert torch.equal(drawn.labels, shown.labels)
    noise = drawn.inputs - outline(shown.inputs)
    clear = (drawn.inputs > 0) & (drawn.inputs < 1) & (outline(shown.inputs) == 0.0)
    # Only the positive half of the noise is left on paper: E|z| = √(2/π).
    assert noise[clear].mean() == pytest.approx(0.05 * (2 / np.pi) ** 0.5, rel=0.02)
    assert not torch.equal(drawings(seed=1).inputs, drawn.inputs)
    assert torch.equal(drawings(noise=0.0, thickness=2.0).inputs, outline(shown.inputs, 2.0))


def test_a_stroke_grows_and_shrinks_by_the_pixels_asked_for():
    for pixels in (-2, -1, 0, 1, 3):
        ink = thicken(square(), pixels).sum().item()
        assert ink == (8 + 2 * pixels) ** 2


def test_inverting_twice_gives_the_image_back():
    image, _ = disk()
    assert invert(np.zeros((1, SIDE**2))).min() == 1
    np.testing.assert_allclose(invert(invert(image)), image, atol=1e-6)


def test_noise_has_the_deviation_asked_for_and_stays_within_the_image():
    grey = np.full((20, SIDE**2), 0.5)
    noisy = add_noise(grey, 0.1, seed=3)
    # 11 520 values: the standard error of a standard deviation is 0.1 / √(2 · 11 520) < 0.0007.
    assert noisy.std() == pytest.approx(0.1, abs=0.003)
    assert noisy.mean() == pytest.approx(0.5, abs=0.004)
    assert torch.equal(noisy, add_noise(grey, 0.1, seed=3))
    assert not torch.equal(noisy, add_noise(grey, 0.1, seed=4))
    wild = add_noise(grey, 5.0)
    assert wild.min() == 0 and wild.max() == 1
    np.testing.assert_allclose(add_noise(grey, 0), grey)


def test_noise_leaves_the_global_random_state_alone():
    state = torch.get_rng_state()
    add_noise(square(), 0.1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("change", [outline, invert, lambda x: thicken(x, 1)])
@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 64)), np.full((1, SIDE**2), 1.5), np.full((1, SIDE**2), -0.1)]
)
def test_other_images_are_refused(change, wrong):
    with pytest.raises(ValueError, match=r"images must be \(examples, 576\).*photographs\(\)"):
        change(wrong)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: outline(x, 0), "thickness"),
        (lambda x: add_noise(x, -1), "std"),
        (lambda x: add_noise(x, 0.1, seed=-1), "seed"),
        (lambda x: thicken(x, 20), "pixels"),
    ],
)
def test_numbers_that_cannot_be_are_refused(call, name):
    with pytest.raises(ValueError, match=name):
        call(square())
