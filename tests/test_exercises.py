"""Every exercise takes the right answer under many seeds, and tells each typical mistake its name.

Chapter 1's exercises, and for every chapter's what garbage gets (test_exercises_chapter2 is for 2,
test_exercises_chapter3 for 3, test_exercises_chapter4 for 4).
The right answers here are the learner's way (closed forms, loops); the checkers measure.
"""

import contextlib
import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from d2lstab import NetworkSpec, diagnose, measure
from d2lstab.exercises import CHECKERS, check
from d2lstab.exercises.chapter1 import broken_network

pytestmark = pytest.mark.once

SEEDS = range(12)


# Right answers


def differences(f, X, h=1e-5):
    gradient = torch.zeros_like(X)
    for i in range(X.numel()):
        step = torch.zeros_like(X)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(X + step) - f(X - step)) / (2 * h)
    return gradient


def log_norm(Ws, log=torch.log10, order=1, norm=torch.linalg.norm):
    product, total = torch.eye(Ws.shape[-1], dtype=Ws.dtype), 0.0
    for W in Ws if order == 1 else Ws.flip(0):
        product = W @ product
        total += log(norm(product))
        product = product / norm(product)
    return total


def by_hand(x, y, W1, b, W2, lam, slope=lambda z, h: 1 - h**2, **changes):
    z = W1 @ x + (0 if changes.get("no_bias") else b)
    h = torch.tanh(z)
    delta = (W2 @ h - y) * changes.get("sign", 1) * changes.get("factor", 1)
    back = (W2.T @ delta) * slope(z, h)
    penalty = changes.get("penalty", lam)
    dW2 = torch.outer(delta, z if changes.get("z_for_h") else h) + penalty * W2
    db = back + changes.get("on_bias", 0) * lam * b
    return torch.outer(back, x) + penalty * W1, db, dW2


def footprint(depth, width, batch, activation, per_layer=None, item=4, inputs=64, outputs=0):
    kept = per_layer or (2 if activation in ("gelu", "silu") else 1)
    return item * batch * (inputs + kept * depth * width + outputs), 2 * 4 * batch * width


def hessian_vector(f, x, v):
    x = x.requires_grad_()
    (gradient,) = torch.autograd.grad(f(x), x, create_graph=True)
    return torch.autograd.grad(gradient @ v, x)[0]


def stretch(Ws):
    s = torch.linalg.svdvals(Ws)
    return s[:, -1].prod(), s[:, 0].prod()


def second_moment(derivative, s, power=2):
    nodes, weights = np.polynomial.hermite_e.hermegauss(180)
    values = derivative(torch.tensor(s * nodes)).abs().numpy() ** power
    return (weights * values).sum() / weights.sum()


def sigma(derivative, s):
    return second_moment(derivative, s) ** -0.5


def twin(W1, W2):
    signs = torch.ones(len(W1), dtype=W1.dtype)
    signs[0] = -1
    return signs[:, None] * W1, W2 * signs


def first_gradient(X, y, n_classes, c):
    labels = torch.nn.functional.one_hot(y, n_classes).to(X.dtype)
    return (1 / n_classes - labels).T @ X / len(X)


def aligned(M, x, k):
    for _ in range(k):
        x = M @ x
        x = x / x.norm()
    values, vectors = torch.linalg.eigh(M)
    return (vectors[:, values.abs().argmax()] @ x).abs() / x.norm()


def repaired(seed):
    broken = broken_network(seed)
    return {
        "tanh": lambda: replace(broken, gain=1.0, bias_std=0.0),
        "relu": lambda: replace(broken, init="he", gain=1.0),
        "sigmoid": lambda: replace(broken, residual=True, norm="layer"),
    }[broken.activation]()


RIGHT = {
    "1.1": differences,
    "1.2": log_norm,
    "1.3": by_hand,
    "1.4": footprint,
    "1.5": hessian_vector,
    "1.6": stretch,
    "1.7": sigma,
    "1.8": twin,
    "1.9": first_gradient,
    "1.10": aligned,
}


def test_the_network_can_be_repaired_and_is_broken_under_many_seeds():
    kinds = set()
    for seed in SEEDS:
        kinds.add(diagnose(measure(broken_network(seed))).kind)
        assert check("1.11", repaired(seed), seed=seed)
        for remedy in diagnose(measure(broken_network(seed))).remedies:
            advised = check("1.11", remedy.apply(broken_network(seed)), seed=seed)
            assert "fields are changed" in advised.hint  # the advice alone is no answer
    assert kinds == {"vanishing", "exploding"}
    assert len({broken_network(seed) for seed in SEEDS}) > 8


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # torch.func's own
def test_another_way_to_the_same_value_passes_too():
    def autograd(f, X):
        return torch.func.grad(f)(X)

    def numpy_list(derivative, s):
        return [float(sigma(derivative, s))]

    def rounded(derivative, s):  # as random samples would give it
        return 1.004 * sigma(derivative, s)

    def forward_over_reverse(f, x, v):
        return torch.func.jvp(torch.func.grad(f), (x,), (v,))[1]

    def all_signs(W1, W2):
        return [-W1.numpy(), -W2.numpy()]

    assert check("1.1", autograd)
    assert check("1.5", forward_over_reverse)
    assert check("1.7", numpy_list) and check("1.7", rounded)
    assert check("1.8", all_signs)
    assert check("1.6", lambda Ws: torch.stack(stretch(Ws)))
    relu = next(seed for seed in range(20) if broken_network(seed).activation == "relu")
    assert check("1.11", replace(broken_network(relu), gain=math.sqrt(6)), seed=relu)


# Wrong answers, and a part of the hint that each must get


def one_sided(f, X, h=1e-2):
    gradient = torch.zeros_like(X)
    for i in range(X.numel()):
        step = torch.zeros_like(X)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(X + step) - f(X)) / h
    return gradient


def in_place(f, X, h=1e-5):
    gradient = torch.zeros_like(X)
    for i in range(X.numel()):
        low = f(X)
        X.view(-1)[i] += h
        gradient.view(-1)[i] = (f(X) - low) / h
        X.view(-1)[i] += 1.0
    return gradient


def direct(Ws):
    product = torch.eye(Ws.shape[-1], dtype=Ws.dtype)
    for W in Ws:
        product = W @ product
    return product.norm().log10()


def grad_again(f, x, v, **options):
    x = x.requires_grad_()
    (gradient,) = torch.autograd.grad(f(x), x, **options)
    return torch.autograd.grad(gradient.sum(), x)[0]


def forgot_zero_grad(f, x, v):
    x.requires_grad_()
    f(x).backward(create_graph=True)
    (x.grad @ v).backward()
    return x.grad


def eigen(Ws):
    sizes = torch.linalg.eigvals(Ws).abs()
    return sizes.amin(1).prod(), sizes.amax(1).prod()


def whole_product(Ws):
    product = Ws[0]
    for W in Ws[1:]:
        product = W @ product
    s = torch.linalg.svdvals(product)
    return s[-1], s[0]


def power(M, x, k):
    return torch.linalg.matrix_power(M, k) @ x


def signed(M, x, k):
    for _ in range(k):
        x = M @ x / (M @ x).norm()
    values, vectors = torch.linalg.eigh(M)
    cosine = vectors[:, values.abs().argmax()] @ x
    return -cosine.abs()


def with_top(M, x, k):
    for _ in range(k):
        x = M @ x / (M @ x).norm()
    return (torch.linalg.eigh(M)[1][:, -1] @ x).abs()


def cosine_of(vector, M):
    values, vectors = torch.linalg.eigh(M)
    return (vectors[:, values.abs().argmax()] @ vector).abs() / vector.norm()


def flip_first_only(W1, W2):
    return -W1, W2


WRONG = [
    ("1.1", lambda f, X: differences(f, X).flatten(), "Which shape has a gradient"),
    ("1.1", lambda f, X: differences(f, X).T, "transposed"),
    ("1.1", lambda f, X: differences(f, X).sum(), "all entries of X move at once"),
    ("1.1", lambda f, X: 2 * differences(f, X), "twice too large"),
    ("1.1", one_sided, "one side"),
    ("1.1", in_place, "argument number 2 changed"),
    ("1.2", direct, "left the range of float64"),
    ("1.2", lambda Ws: log_norm(Ws, log=torch.log), "natural logarithms"),
    ("1.2", lambda Ws: log_norm(Ws, order=-1), "opposite order"),
    ("1.2", lambda Ws: sum(W.norm().log10() for W in Ws), "only bounds"),
    ("1.2", lambda Ws: log_norm(Ws[:-1]), "not right"),
    ("1.3", lambda *case: by_hand(*case, on_bias=1), "the bias is penalized"),
    ("1.3", lambda *case: by_hand(*case, penalty=0), "the part of the penalty"),
    ("1.3", lambda *case: by_hand(*case, slope=lambda z, h: 1), "derivative of tanh is missing"),
    ("1.3", lambda *case: by_hand(*case, slope=lambda z, h: 1 - z**2), "if v is its output"),
    ("1.3", lambda *case: by_hand(*case, no_bias=True), "the bias is missing"),
    ("1.3", lambda *case: [-g for g in by_hand(*case)], "sign"),
    ("1.3", lambda *case: (by_hand(*case)[0].T, *by_hand(*case)[1:]), "transposed"),
    (
        "1.3",
        lambda *case: (by_hand(*case)[0], by_hand(*case)[1].sum(), by_hand(*case)[2]),
        "b is a vector",
    ),
    ("1.3", lambda *case: by_hand(*case)[:2], "3 values, in the order ∂J/∂W1, ∂J/∂b, ∂J/∂W2"),
    ("1.4", lambda *case: (footprint(*case)[0] / 4, 0), "counts numbers, not bytes"),
    ("1.4", lambda *case: footprint(*case, inputs=0), "batch of inputs is missing"),
    ("1.4", lambda *case: footprint(*case, per_layer=1), "from its output alone"),
    ("1.4", lambda *case: footprint(*case, per_layer=2), "two tensors per layer"),
    ("1.4", lambda *case: footprint(*case, outputs=10), "outputs of the network are counted"),
    ("1.4", lambda *case: (footprint(*case)[0],) * 2, "this is what training keeps"),
    ("1.4", lambda *case: (footprint(*case)[0], 0), "the peak on the way"),
    ("1.4", lambda *case: (footprint(*case)[0], footprint(*case)[1] / 2), "single activation"),
    ("1.5", lambda f, x, v: torch.func.grad(f)(x) * v, "first derivative"),
    ("1.5", lambda f, x, v: grad_again(f, x, v), "Nothing was recorded"),
    ("1.5", lambda f, x, v: grad_again(f, x, v, create_graph=True), "v is nowhere in it"),
    ("1.5", lambda f, x, v: torch.autograd.functional.hessian(f, x).diag() * v, "diagonal"),
    ("1.5", lambda f, x, v: v @ hessian_vector(f, x, v).detach(), "one number"),
    ("1.5", lambda f, x, v: torch.autograd.functional.hessian(f, x), "n² numbers"),
    ("1.6", eigen, "eigenvalues"),
    ("1.6", lambda Ws: stretch(Ws)[::-1], "exchanged"),
    ("1.6", whole_product, "each matrix alone"),
    ("1.6", lambda Ws: (stretch(Ws)[0], Ws.norm(dim=(1, 2)).prod()), "far from tight"),
    (
        "1.6",
        lambda Ws: (stretch(Ws)[0], torch.linalg.svdvals(Ws)[:, 0].sum()),
        "adds up what each matrix does",
    ),
    ("1.7", lambda d, s: sigma(d, s) ** 2, "this is σ_w²"),
    ("1.7", lambda d, s: 1 / second_moment(d, s, power=1), "the mean of φ'"),
    ("1.7", lambda d, s: 1 / d(torch.linspace(-9, 9, 99_999)).max(), "the largest φ'"),
    ("1.7", lambda d, s: sigma(d, 1.0), "whatever s"),
    ("1.7", lambda d, s: sigma(d, s**0.5), "for the variance"),
    ("1.7", lambda d, s: 1.03 * sigma(d, s), "more than 1 %"),
    ("1.8", lambda W1, W2: (W1, W2), "no twin at all"),
    ("1.8", lambda W1, W2: (W1.flip(0), W2.flip(1)), "permutation"),
    ("1.8", flip_first_only, "changed their sign"),
    ("1.8", lambda W1, W2: (2 * W1, W2 / 2), "The outputs have changed, by"),
    ("1.8", lambda W1, W2: (W1.T, W2), "shapes of the old"),
    ("1.8", lambda W1, W2: W1, "two matrices"),
    ("1.9", lambda X, *rest: len(X) * first_gradient(X, *rest), "gradient of their sum"),
    ("1.9", lambda *case: -first_gradient(*case), "sign"),
    ("1.9", lambda *case: first_gradient(*case).T, "transposed"),
    ("1.9", lambda X, y, q, c: X.mean(0).expand(q, -1) / q, "all rows are the same"),
    ("1.9", lambda X, y, q, c: c * first_gradient(X, y, q, c), "proportional to c"),
    ("1.10", lambda M, x, k: cosine_of(power(M, x, k), M), "left the range of float64"),
    ("1.10", with_top, "most positive"),
    ("1.10", signed, "sign is by chance"),
    ("1.10", lambda M, x, k: cosine_of(x, M), "no power of M"),
    ("1.10", lambda M, x, k: aligned(M, x, k + 1), "too many"),
]


def repair_mistakes():
    """Wrong repairs by what is wrong with them, as changes of the right one for a seed."""
    return [
        (lambda seed: replace(repaired(seed), depth=5), "depth must stay"),
        (lambda seed: replace(repaired(seed), seed=7), "seed must stay"),
        (lambda seed: broken_network(seed), "nothing has been changed"),
        (
            lambda seed: replace(
                broken_network(seed), init="orthogonal", dropout=0.1, norm="batch"
            ),
            "3 fields are changed (init, norm, dropout)",
        ),
        (lambda seed: replace(broken_network(seed), dropout=0.1), "It is still "),
    ]


WRONG += [("1.11", make(seed=3), hint) for make, hint in repair_mistakes()]

SPOILERS = ("create_graph", "svdvals", "normaliz", "one_hot", "-W", "2h", "init he", "gain 1")


def test_a_lucky_draw_is_no_repair():
    seed = next(seed for seed in range(20) if broken_network(seed).activation == "relu")
    gains = [1.5 + 0.02 * step for step in range(100)]
    specs = [replace(broken_network(seed), gain=gain) for gain in gains]
    stable = [spec for spec in specs if diagnose(measure(spec)).kind == "stable"]
    border, middle = check("1.11", stable[0], seed=seed), stable[len(stable) // 2]
    assert "stable for these random weights, but not for others" in border.hint
    assert check("1.11", middle, seed=seed)


# Garbage


class Broken:
    def __repr__(self):
        raise RuntimeError("no text for this")


def forever(*_):
    while True:
        pass


def stubborn(*_):
    for _ in range(10):  # it may swallow so many exceptions
        with contextlib.suppress(Exception):
            while True:
                time.sleep(0.01)


GARBAGE = {
    "nothing": None,
    "dots": ...,
    "a number": 3,
    "text": "42",
    "an object": Broken(),
    "a class": NetworkSpec,
    "a function that raises": lambda *_: 1 / 0,
    "a function that ends Python": lambda *_: exit(),
    "a function of no arguments": lambda: 1,
    "a function that returns nothing": lambda *_: None,
    "a function that returns NaN": lambda *_: math.nan,
    "a function that returns many NaN": lambda *_: (torch.full((3, 5), math.nan),) * 2,
    "a function that returns text": lambda *_: "done",
    "a function that returns an object": lambda *_: Broken(),
    "a function that returns a mixture": lambda *_: [1, "2", None],
    "a function that returns complex numbers": lambda *_: torch.tensor([1 + 2j]),
    "a function that returns a sparse tensor": lambda *_: torch.eye(3).to_sparse(),
    "a function that returns nothing countable": lambda *_: iter(int, 1),
    "a function that returns an empty tensor": lambda *_: torch.empty(0),
    "a function that recurs": lambda *_: (lambda f: f(f))(lambda f: f(f)),
}


@pytest.mark.parametrize("exercise", CHECKERS)
def test_garbage_is_a_wrong_answer_and_never_a_crash(exercise):
    for name, garbage in GARBAGE.items():
        result = check(exercise, garbage)
        assert not result and result.hint, name


@pytest.mark.parametrize("answer", [forever, stubborn])
def test_a_function_that_never_ends_is_stopped(answer, monkeypatch):
    monkeypatch.setattr("d2lstab.exercises.answers.TIME_LIMIT", 0.2)
    assert "may loop for ever" in check("1.6", answer).hint
    assert check("1.6", stretch)  # the alarm is off again


def test_a_hint_says_that_there_is_no_answer_yet():
    assert "no answer here yet" in check("1.2", ...).hint
    assert "returns nothing yet" in check("1.2", lambda Ws: None).hint
    assert "nothing has been changed" in check("1.11", broken_network(0)).hint


def test_a_hint_says_what_an_answer_raised():
    assert "ZeroDivisionError: division by zero" in check("1.2", lambda Ws: 1 / 0).hint


def test_an_unknown_exercise_is_an_error_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"got '1\.33'\. Did you mean '1\.3'\?"):
        check("1.33", None)
    with pytest.raises(TypeError, match='like "1.3"; got 1.1'):
        check(1.10, None)
    with pytest.raises(TypeError, match="seed must be an integer"):
        check("1.3", None, seed="7")
    with pytest.raises(ValueError, match="seed must be an integer from 0"):
        check("1.3", None, seed=-1)


def test_a_result_is_shown_as_text_and_in_color():
    right, wrong = check("1.6", stretch), check("1.6", lambda Ws: ("<b>", 1))
    assert repr(right) == "1.6 is right." and "1.6 is right" in right._repr_html_()
    assert "<b>&" not in wrong._repr_html_() and "&lt;b&gt;" in wrong._repr_html_()
    assert repr(wrong).startswith("1.6 is not right yet. The lower bound must be a tensor")


def test_checking_leaves_the_random_state_and_the_answer_s_arguments_alone():
    before = torch.get_rng_state()
    assert check("1.9", first_gradient)
    assert torch.equal(torch.get_rng_state(), before)
