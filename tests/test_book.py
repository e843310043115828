"""d2lstab.book: the book's package, wherever it can be imported."""

import importlib
import random
import re
import sys
import warnings
from types import SimpleNamespace

import matplotlib
import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from d2lstab import book
from d2lstab.book import d2l


class Importer:
    """Stands in for importlib.import_module: raises what it is given, then returns the name."""

    def __init__(self, **errors):
        self.errors = errors
        self.calls = []

    def __call__(self, name):
        self.calls.append(name)
        queue = self.errors.get(name.replace(".", "_"), [])
        if queue:
            raise queue.pop(0)
        return name


@pytest.fixture
def importer(monkeypatch):
    def install(**errors):
        fake = Importer(**errors)
        monkeypatch.setattr(importlib, "import_module", fake)
        return fake

    return install


@pytest.fixture
def fragments(monkeypatch):
    """The schemas that would be declared, instead of declaring them."""
    declared = []

    class Library:
        def __init__(self, *arguments):
            assert arguments == ("torchvision", "FRAGMENT")

        def define(self, schema):
            declared.append(schema.split("(")[0])

    monkeypatch.setattr(torch.library, "Library", Library)
    monkeypatch.setattr(book, "_fragment", None)
    loaded = {name: module for name, module in sys.modules.items() if "torchvision" in name}
    yield declared
    sys.modules.update(loaded)


def test_plot_draws_on_the_current_axes():
    d2l.plt.close("all")
    x = torch.arange(-2.0, 2.0, 0.5)
    d2l.plot(x, [torch.relu(x), torch.tanh(x)], "x", "f(x)", legend=["relu", "tanh"])
    lines = d2l.plt.gca().lines
    assert [line.get_ydata().tolist() for line in lines] == [
        torch.relu(x).tolist(),
        torch.tanh(x).tolist(),
    ]
    d2l.plt.close("all")


def test_the_books_classes_train_a_network():
    class Points(d2l.DataModule):
        def __init__(self):
            super().__init__()
            self.save_hyperparameters()
            self.X, self.batch_size = torch.linspace(-1, 1, 32).reshape(-1, 1), 8
            self.y = (self.X[:, 0] > 0).long()

        def get_dataloader(self, train):
            return self.get_tensorloader((self.X, self.y), train)

    class Line(d2l.Classifier):
        def __init__(self, lr):
            super().__init__()
            self.save_hyperparameters()
            self.net = torch.nn.Linear(1, 2)

        def plot(self, key, value, train):
            """The book's live plot is far too slow for a test."""

    torch.manual_seed(0)
    model, data = Line(lr=1.0), Points()
    d2l.Trainer(max_epochs=20).fit(model, data)
    assert model.hparams == {"lr": 1.0}
    assert model.accuracy(model(data.X), data.y) > 0.9


def test_hyperparameters_are_saved():
    class Thing(d2l.HyperParameters):
        def __init__(self, a, b):
            self.save_hyperparameters(ignore=["b"])

    thing = Thing(1, 2)
    assert thing.a == 1 and not hasattr(thing, "b")


def test_lenet_computes_class_scores():
    # Lazy layers are the book's choice, and torch warns that they may change.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Lazy modules")
        lenet = d2l.LeNet()
    assert lenet(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_importing_the_book_changes_no_global_state():
    settings, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    del sys.modules["d2l.torch"]
    again = book.import_book()
    assert again.__name__ == "d2l.torch"
    assert dict(matplotlib.rcParams) == settings and matplotlib.get_backend() == backend
    now = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert now == states


def test_no_ipython_shell_is_started_by_a_plot():
    from IPython import get_ipython

    d2l.use_svg_display()
    assert get_ipython() is None


def test_a_plot_in_a_notebook_is_a_png_and_no_svg():
    source = "from d2lstab.book import d2l\nd2l.plot(d2l.arange(3.0), [d2l.arange(3.0)])"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, timeout=120).execute()
    outputs = notebook.cells[0].outputs
    types = {kind for output in outputs for kind in output.get("data", {})}
    assert "image/png" in types and "image/svg+xml" not in types
    assert not [output for output in outputs if output.output_type in ("error", "stream")]


def test_a_torchvision_that_fits_gets_no_schemas(importer, fragments):
    importer()
    assert book.import_torchvision() == "torchvision"
    assert fragments == []


def test_a_torchvision_made_for_cuda_gets_the_two_schemas_and_is_imported_again(
    importer, fragments
):
    missing = RuntimeError("operator torchvision::nms does not exist")
    fake = importer(torchvision=[missing])
    sys.modules["torchvision.half_imported"] = sys
    assert book.import_torchvision() == "torchvision"
    assert fragments == ["nms", "qnms"]
    assert fake.calls == ["torchvision", "torchvision"]
    assert "torchvision.half_imported" not in sys.modules


@pytest.fixture
def without_torchvision(monkeypatch):
    """The book, imported where nothing has imported torchvision yet."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "d2l.torch")
    return book.import_book()


def test_torchvision_is_imported_when_it_is_used(without_torchvision, monkeypatch):
    assert not [name for name in sys.modules if name.startswith("torchvision")]
    asked = []
    monkeypatch.setattr(book, "import_torchvision", lambda: asked.append(1))
    real = {"torchvision": "io", "torchvision.transforms": "ToTensor"}
    for name, attribute in real.items():
        monkeypatch.setattr(importlib, "import_module", lambda n: SimpleNamespace(io=n, ToTensor=n))
        stand_in = getattr(without_torchvision, name.split(".")[-1])
        assert getattr(stand_in, attribute) == name
    assert len(asked) == 2 and not hasattr(without_torchvision.transforms, "Resize")


def test_another_error_of_torchvision_is_not_hidden(without_torchvision, importer, fragments):
    importer(torchvision=[RuntimeError("compiled with different CUDA major versions")])
    with pytest.raises(ImportError, match=r"CUDA major.*pip install --upgrade .*torch torchvision"):
        _ = without_torchvision.transforms.ToTensor
    assert fragments == []


def test_the_books_data_are_read_through_torchvision():
    to_tensor = d2l.transforms.ToTensor()
    assert to_tensor(np.full((2, 3, 1), 255, dtype=np.uint8)).tolist() == [[[1.0] * 3] * 2]


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("d2l", r"python -m pip install (--no-deps )?d2l==1\.0\.3$"),
        ("pandas", r"python -m pip install pandas$"),
        ("PIL", r"python -m pip install pillow$"),
    ],
)
def test_a_missing_package_is_named_with_its_command(importer, fragments, missing, command):
    importer(d2l_torch=[ModuleNotFoundError(f"No module named '{missing}'", name=missing)])
    with pytest.raises(ImportError, match=command):
        book.import_book()


def test_packages_made_for_another_numpy_are_named_with_a_command(importer, fragments):
    message = "numpy.dtype size changed, may indicate binary incompatibility"
    importer(d2l_torch=[ValueError(message)])
    with pytest.raises(ImportError, match=f"{re.escape(message)}.*pip install --upgrade numpy"):
        book.import_book()
