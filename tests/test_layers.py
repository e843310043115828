"""Numbers <- figures <- labs <- exercises: a part may import what stands left of it, no more.

The imports are read from the source, wherever in a file they stand.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

PACKAGE = Path(__file__).resolve().parent.parent / "d2lstab"
LEVELS = {"numbers": 0, "figures": 1, "labs": 2, "exercises": 3}
# These stand outside the layers: they import something only when asked to.
OUTSIDE = {"__init__", "__main__", "book", "doctor"}
THIRD_PARTY = {
    "numbers": {"torch", "numpy", "scipy"},
    "figures": {"torch", "numpy", "scipy", "matplotlib", "PIL"},
    "labs": {"torch", "numpy", "scipy", "matplotlib", "PIL", "IPython", "ipywidgets", "traitlets"},
    "exercises": {"torch", "numpy", "scipy"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))
LAYERED = [p for p in MODULES if p.parent != PACKAGE or p.stem not in OUTSIDE]


def name(path):
    """Return the path inside the package, for messages."""
    return str(path.relative_to(PACKAGE))


def layer(path):
    """Return the layer of a module: its folder if that is a layer, else numbers."""
    folder = path.relative_to(PACKAGE).parts[0]
    return folder if folder in LEVELS else "numbers"


def imported(source, package="d2lstab"):
    """Return the dotted names that a source imports; ``package`` is the one it stands in.

    >>> sorted(imported("import a.b\\nfrom c import d\\nfrom . import e\\nfrom .f import g"))
    ['a.b', 'c.d', 'd2lstab.e', 'd2lstab.f.g']
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            prefix = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            names |= {f"{prefix}.{alias.name}" for alias in node.names}
    return names


def imports_of(path):
    """Return the dotted names that a module imports."""
    return imported(path.read_text(), ".".join(["d2lstab", *path.relative_to(PACKAGE).parts[:-1]]))


def violations(names, layer, module):
    """Return the imports among ``names`` that a module of that layer must not have."""
    learns = module == "datasets.py" or module.startswith("shift/")  # shift tests with classifiers
    tables = module.startswith("houses/")  # a table of numbers and words is a DataFrame
    allowed = THIRD_PARTY[layer] | ({"sklearn"} if learns else set())
    allowed |= {"pandas"} if tables else set()
    wrong = []
    for dotted in sorted(names):
        root, *rest = dotted.split(".")
        if root == "d2lstab":
            part = rest[0] if rest else "__init__"
            # The book says where its data is; it is asked only when a reader wants the real houses.
            asks_the_book = module == "houses/source.py" and part == "book"
            outside = part in OUTSIDE and not asks_the_book
            above = LEVELS.get(part, 0) > LEVELS[layer]
            drawn_network = layer == "figures" and part == "networks"
            if outside or above or drawn_network:
                wrong.append(dotted)
        elif root not in sys.stdlib_module_names | allowed or "pyplot" in dotted:
            wrong.append(dotted)
    return wrong


def test_every_layer_has_modules():
    assert {layer(path) for path in LAYERED} == set(LEVELS)


@pytest.mark.parametrize("path", LAYERED, ids=name)
def test_a_module_imports_only_what_its_layer_may(path):
    assert violations(imports_of(path), layer(path), name(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_labs_import_ipywidgets_and_only_book_imports_d2l(path):
    roots = {dotted.split(".")[0] for dotted in imports_of(path)}
    assert "ipywidgets" not in roots or layer(path) == "labs"
    words = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
    assert "d2l" not in roots
    assert ("d2l.torch" in words) == (name(path) == "book.py")


@pytest.mark.parametrize(
    ("layer", "statement"),
    [
        ("numbers", "import matplotlib"),
        ("numbers", "def f():\n    import sklearn"),
        ("numbers", "from d2lstab import figures"),
        ("numbers", "from .labs.live import Picture"),
        ("numbers", "from d2lstab.book import d2l"),
        ("figures", "from matplotlib import pyplot as plt"),
        ("figures", "import matplotlib.pyplot"),
        ("figures", "from d2lstab.networks import build"),
        ("figures", "import d2lstab.labs"),
        ("figures", "import ipywidgets"),
        ("labs", "import pandas"),
        ("numbers", "import pandas"),
        ("labs", "from d2lstab.exercises import check"),
        ("exercises", "import ipywidgets"),
        ("exercises", "from d2lstab.book import d2l"),
    ],
)
def test_a_wrong_import_is_noticed(layer, statement):
    assert violations(imported(statement), layer, "any.py")


def test_scikit_learn_may_be_imported_by_datasets_only():
    names = imported("def load():\n    from sklearn.datasets import load_digits")
    assert violations(names, "numbers", "datasets.py") == []
    assert violations(names, "numbers", "signal.py") == ["sklearn.datasets.load_digits"]


def test_pandas_may_be_imported_for_the_houses_only_and_the_book_by_their_source_only():
    names = imported("import pandas as pd\nfrom d2lstab.book import d2l")
    assert violations(names, "numbers", "houses/source.py") == []
    assert violations(names, "numbers", "houses/table.py") == ["d2lstab.book.d2l"]


def test_importing_d2lstab_loads_nothing_heavy_and_changes_nothing():
    heavy = ["d2l", "pandas", "sklearn", "ipywidgets", "matplotlib.pyplot"]
    # dict.__getitem__ looks at the settings in a way that leaves matplotlib's backend undecided.
    code = (
        "import random, sys, warnings, torch, matplotlib\n"
        "def state():\n"
        "    settings = matplotlib.rcParams\n"
        "    return (random.getstate(), torch.get_rng_state().tolist(), list(warnings.filters),\n"
        "            [dict.__getitem__(settings, key) for key in settings],\n"
        "            torch.get_num_threads())\n"
        "before = state()\n"
        "import d2lstab\n"
        f"print([name for name in {heavy} if name in sys.modules], state() == before)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.stdout == "[] True\n", done.stdout + done.stderr
