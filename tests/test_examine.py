"""`examine` on the book's networks, a recurrent net, a transformer, and what it refuses."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from d2lstab import NetworkSpec, diagnose, measure
from d2lstab.book import d2l
from d2lstab.datasets import digits
from d2lstab.labs.examine import examine

BATCH = digits(32)
IMAGES = F.interpolate(BATCH.inputs.reshape(-1, 1, 8, 8), size=28)


def lenet():
    torch.manual_seed(0)
    model = d2l.LeNet()
    model.apply_init([IMAGES], d2l.init_cnn)
    return model, IMAGES, lambda outputs: model.loss(outputs, BATCH.labels)


def recurrent():
    torch.manual_seed(0)
    model = nn.Sequential(nn.RNN(8, 16, num_layers=3, batch_first=True))
    return model, BATCH.inputs.reshape(-1, 8, 8), lambda outputs: outputs[0].square().mean()


def transformer():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    rows = BATCH.inputs.reshape(-1, 8, 8)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), rows, torch.std


@pytest.mark.parametrize("make", [lenet, recurrent, transformer])
def test_the_verdict_and_the_profile_are_those_of_measure_and_diagnose(make):
    network, inputs, loss = make()
    profile = measure(network, inputs, loss)
    examination = examine(network, inputs, loss)
    assert examination.profile.names == profile.names
    torch.testing.assert_close(
        examination.profile.weight_gradient_norm, profile.weight_gradient_norm, equal_nan=True
    )
    assert str(examination) == str(examination.verdict) == str(diagnose(profile))


def test_the_books_lenet_with_its_own_initialization_vanishes():
    assert examine(*lenet()).verdict.kind == "vanishing"


def test_a_network_of_the_course_needs_no_batch():
    assert examine(NetworkSpec(depth=10, activation="relu", init="he")).verdict.kind == "stable"


@pytest.mark.parametrize("make", [lenet, transformer])
def test_a_notebook_gets_a_picture_of_the_curves_with_the_verdict_in_it(make):
    examination = examine(*make())
    data, metadata = examination._repr_mimebundle_()
    assert data["text/plain"] == str(examination.verdict)
    image = Image.open(io.BytesIO(data["image/png"]))
    size = metadata["image/png"]
    assert abs(image.width - 2 * size["width"]) < 2 and abs(image.height - 2 * size["height"]) < 2
    ink = np.asarray(image.convert("RGB")).min(axis=2) < 100
    assert ink[: image.height // 12].sum() > 200  # the words
    picture = examination.picture()
    texts = "".join(text.get_text() for text in picture.subfigs[0].texts)
    assert texts.replace("\n", " ") == str(examination.verdict)
    curves = [line for axes in picture.subfigs[1].axes for line in axes.lines]
    assert any(len(line.get_ydata()) == len(examination.profile) for line in curves)
    assert not any(line.get_animated() for line in curves)


def test_every_examination_draws_a_new_figure_and_pyplot_knows_of_none():
    before, examination = d2l.plt.get_fignums(), examine(NetworkSpec(depth=3))
    assert examination.picture() is not examination.picture()
    assert d2l.plt.get_fignums() == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("net",), TypeError, "network must be a torch.nn.Module"),
        ((nn.Linear(64, 10), BATCH.inputs), TypeError, "inputs and loss come together"),
        ((nn.Linear(64, 10), BATCH.inputs, torch.relu), ValueError, "loss must return a scalar"),
        ((nn.ReLU(), BATCH.inputs, torch.sum), ValueError, "no layer to measure"),
        ((nn.LazyLinear(10), BATCH.inputs, torch.sum), ValueError, "lazy layer without a shape"),
        ((nn.Linear(63, 10), BATCH.inputs, torch.sum), RuntimeError, "cannot be multiplied"),
    ],
)
def test_what_cannot_be_examined_is_refused_with_the_reason(arguments, error, message):
    with pytest.raises(error, match=message):
        examine(*arguments)
