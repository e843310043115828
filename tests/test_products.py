"""Chains of scalars against rational arithmetic, matrix products against chi distributions."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import integrate, stats

from d2lstab.figures.products import BOTTOM, TOP, ChainFigure, draw_log_norms
from d2lstab.products import (
    DTYPES,
    Depths,
    chain,
    describe,
    float_range,
    lyapunov_exponents,
    predict_depths,
    predict_lyapunov,
)

pytestmark = pytest.mark.once

# digits of the significand, exponent of the smallest normal number, exponent of the largest:
# IEEE 754-2019, table 3.5, and bfloat16 with the exponents of float32
FORMATS = {
    torch.float64: (53, -1022, 1023),
    torch.float32: (24, -126, 127),
    torch.float16: (11, -14, 15),
    torch.bfloat16: (8, -126, 127),
}
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype)[6:])


def power(exponent):
    return Fraction(2) ** exponent


def rounded(value, dtype):
    """Round an exact number > 0 to the type, ties to even, in rational arithmetic; None is Inf."""
    digits, low, high = FORMATS[dtype]
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= value < power(exponent)
    unit = power(max(exponent, low) - digits + 1)
    value = round(value / unit) * unit  # Python rounds a Fraction's tie to even
    return value if value < power(high + 1) else None


def multiplied(weight, depth, dtype):
    """The products of a chain, each rounded, as exact numbers."""
    factor = rounded(Fraction(weight), dtype)
    products = [Fraction(1)]
    for _ in range(depth):
        if products[-1] is None or factor is None:
            products.append(None)
        else:
            product = products[-1] * factor
            products.append(rounded(product, dtype) if product else product)
    return products


def first(condition, sequence):
    return next((index for index, value in enumerate(sequence) if condition(value)), None)


@every_dtype
def test_the_range_of_a_type_is_that_of_its_format(dtype):
    digits, low, high = FORMATS[dtype]
    limits = float_range(dtype)
    assert limits.largest == (2 - power(1 - digits)) * power(high)
    assert limits.smallest_normal == power(low)
    assert limits.smallest_denormal == power(low - digits + 1)


@every_dtype
@settings(max_examples=40, deadline=None)
@given(weight=st.floats(1e-3, 1e3), depth=st.integers(1, 300))
def test_a_chain_is_rounded_after_every_layer(dtype, weight, depth):
    expected = multiplied(weight, depth, dtype)
    values = [math.inf if value is None else float(value) for value in expected]
    result = chain(weight, depth, dtype)
    assert result.products.tolist() == values
    assert result.reached == Depths(
        denormal=first(lambda value: value < power(FORMATS[dtype][1]), values),
        zero=first(lambda value: value == 0, values),
        overflow=first(math.isinf, values),
    )


def test_thirty_layers_of_weight_one_fifth_and_of_weight_five():
    small, large = chain(0.2, 30, torch.float64), chain(5, 30, torch.float64)
    assert small.products[-1].item() == pytest.approx(1 / 5**30)
    assert large.products[-1].item() == pytest.approx(5**30)
    assert f"{small.products[-1]:.2e} {large.products[-1]:.1e}" == "1.07e-21 9.3e+20"


def test_the_exact_logarithms_know_no_limits():
    result = chain(0.2, 1000, torch.float16)
    assert result.exact_log10[-1].item() == pytest.approx(-1000 * math.log10(5))
    assert result.log10[-1] == -math.inf
    assert result.exact_log10.shape == result.log10.shape == (1001,)


@every_dtype
@pytest.mark.parametrize("weight", ["0.1", "0.2", "0.25", "0.3", "0.5", "2", "3", "5"])
def test_the_predicted_depths_are_those_of_the_exact_powers(dtype, weight):
    digits, low, high = FORMATS[dtype]
    powers = [Fraction(1)]
    while power(low - digits - 1) < powers[-1] < power(high + 2):
        powers.append(powers[-1] * Fraction(weight))
    assert predict_depths(float(weight), dtype) == Depths(
        denormal=first(lambda value: value < power(low), powers),
        zero=first(lambda value: value <= power(low - digits), powers),
        overflow=first(lambda value: value >= power(high + 1), powers),
    )


@every_dtype
@pytest.mark.parametrize("weight", [0.1, 0.2, 0.3, 0.5, 2, 3, 5])
def test_prediction_and_multiplication_agree(dtype, weight):
    assert chain(weight, 1100, dtype).reached == predict_depths(weight, dtype)


@every_dtype
def test_a_weight_of_one_changes_nothing(dtype):
    assert predict_depths(1, dtype) == Depths()
    result = chain(1, 50, dtype)
    assert (result.reached, result.stuck, result.products.unique().tolist()) == (
        Depths(),
        None,
        [1.0],
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("weight", [0.51, 0.6, 0.7, 0.8, 0.9])
def test_a_chain_with_a_weight_over_one_half_sticks_above_zero(dtype, weight):
    result = chain(weight, 2000, dtype)
    units = result.products[-1].item() / float_range(dtype).smallest_denormal
    assert 1 <= units == int(units) <= 1 / (2 * (1 - weight)) + 1e-9
    assert result.reached.zero is None
    assert result.products[result.stuck - 1] > result.products[result.stuck]
    assert (result.products[result.stuck :] == result.products[-1]).all()


def test_a_chain_that_moves_is_not_stuck():
    assert chain(0.9, 100, torch.float16).stuck is None
    assert chain(0.2, 100, torch.float16).stuck is None  # zero is not stuck
    assert chain(5, 100, torch.float16).stuck is None  # nor is Inf
    assert chain(1.001, 100, torch.bfloat16).stuck == 0  # rounded to 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0.2, 100, torch.float32), "digits lost from layer 55, zero from layer 65."),
        ((0.2, 60, torch.float32), "digits lost from layer 55."),
        ((5, 100, torch.float16), "5 multiplied 100 times in float16: Inf from layer 7."),
        ((0.9, 200, torch.float16), "stuck at 2.4e-07 from layer 142."),
        ((2, 10, torch.float32), "2 multiplied 10 times in float32: 1.02e+03, within range."),
        ((1e-9, 3, torch.float16), "in float16: zero from layer 1."),
    ],
)
def test_a_chain_is_described_in_words(arguments, sentence):
    assert describe(chain(*arguments)).endswith(sentence)


@pytest.mark.parametrize("n", [1, 2, 4, 7, 64])
def test_the_predicted_exponents_are_mean_logarithms_of_chi_variables(n):
    for k, exponent in enumerate(predict_lyapunov(n, std=0.7).tolist()):
        density = stats.chi(n - k).pdf
        mean, _ = integrate.quad(lambda t, f=density: t * f(math.exp(t)) * math.exp(t), -40, 5)
        assert exponent == pytest.approx(math.log(0.7) + mean, abs=1e-7)


def test_the_predicted_exponents_have_known_values():
    euler = 0.5772156649015329
    assert predict_lyapunov(1).item() == pytest.approx(-(euler + math.log(2)) / 2)
    assert predict_lyapunov(2)[0].item() == pytest.approx((math.log(2) - euler) / 2)
    assert predict_lyapunov(4)[0].item() == pytest.approx((math.log(2) + 1 - euler) / 2)


def test_wide_matrices_with_variance_one_over_n_are_nearly_neutral():
    for n in (16, 64, 256, 1024):
        assert predict_lyapunov(n, std=n**-0.5)[0].item() == pytest.approx(-1 / (2 * n), rel=0.03)


@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_the_measured_exponents_are_the_predicted_ones(n):
    exponents = lyapunov_exponents(n, std=0.8, factors=60, draws=150, seed=n)
    assert exponents.shape == (150, n)
    error = exponents.std(dim=0) / math.sqrt(150)
    assert ((exponents.mean(dim=0) - predict_lyapunov(n, 0.8)).abs() < 4 * error).all()


def test_the_scatter_of_the_measured_exponents_is_that_of_log_chi():
    exponents = lyapunov_exponents(4, factors=25, draws=2000)
    for k in range(4):
        one_factor = stats.loggamma((4 - k) / 2).std() / 2  # log of a Gamma variable is loggamma
        assert exponents[:, k].std().item() * 5 == pytest.approx(one_factor, rel=0.08)


def test_the_exponents_of_a_short_product_are_its_own():
    """The sum is log |det| of the product; for one factor the first is the length of a column."""
    generator = torch.Generator().manual_seed(3)
    factors = [
        torch.randn(5, 3, 3, generator=generator, dtype=torch.float64) * 1.5 for _ in range(4)
    ]
    product = factors[3] @ factors[2] @ factors[1] @ factors[0]
    exponents = lyapunov_exponents(3, std=1.5, factors=4, draws=5, seed=3)
    torch.testing.assert_close(4 * exponents.sum(dim=1), torch.linalg.slogdet(product).logabsdet)
    torch.testing.assert_close(4 * exponents[:, 0], product[:, :, 0].norm(dim=1).log())


def test_the_standard_deviation_shifts_all_exponents_alike():
    unit, double = (lyapunov_exponents(3, std, factors=10, draws=4) for std in (1, 2))
    torch.testing.assert_close(double - unit, torch.full((4, 3), math.log(2), dtype=torch.float64))


def test_the_seed_fixes_the_draws_and_the_global_random_state_stays():
    before = torch.get_rng_state()
    first_run, again, other = (lyapunov_exponents(2, factors=5, draws=3, seed=s) for s in (1, 1, 2))
    assert torch.equal(first_run, again) and not torch.equal(first_run, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: chain(0, 5), ValueError, "weight must be a finite number > 0; got 0"),
        (lambda: chain(math.nan, 5), ValueError, "weight must be a finite number > 0; got nan"),
        (lambda: chain("2", 5), TypeError, "weight must be a finite number > 0; got '2'"),
        (lambda: chain(True, 5), TypeError, "weight must be"),
        (lambda: chain(2, 0), ValueError, "depth must be an integer from 1 to 100000; got 0"),
        (lambda: chain(2, 5.0), TypeError, "depth must be an integer from 1 to 100000; got 5.0"),
        (lambda: chain(2, 5, torch.int32), ValueError, "dtype must be one of torch.float64"),
        (lambda: float_range("float32"), ValueError, "got 'float32'"),
        (lambda: predict_depths(-1), ValueError, "weight must be a finite number > 0; got -1"),
        (lambda: predict_lyapunov(0), ValueError, "n must be an integer from 1"),
        (lambda: predict_lyapunov(2, std=0), ValueError, "std must be a finite number > 0"),
        (lambda: lyapunov_exponents(2, factors=0), ValueError, "factors must be an integer"),
        (lambda: lyapunov_exponents(2, draws=1.5), TypeError, "draws must be an integer"),
        (lambda: lyapunov_exponents(2, seed=-1), ValueError, "seed must be an integer from 0"),
    ],
)
def test_a_bad_argument_is_named(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)


# The pictures


def pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bytes(canvas.buffer_rgba())


CHAINS = {
    "decay": (0.2, 100, torch.float32),
    "growth": (5, 40, torch.float16),
    "stuck": (0.7, 80, torch.float16),
    "wide range": (0.5, 100, torch.float64),
    "bfloat16": (5, 90, torch.bfloat16),
}


@pytest.mark.parametrize("arguments", CHAINS.values(), ids=CHAINS)
def test_an_updated_picture_is_the_picture_drawn_afresh(arguments):
    moved, fresh = ChainFigure(Figure()), ChainFigure(Figure())
    for other in CHAINS.values():
        moved.update(chain(*other))
    artists = len(moved.axes.get_children())
    moved.update(chain(*arguments))
    fresh.update(chain(*arguments))
    assert pixels(moved.axes.figure) == pixels(fresh.axes.figure)
    assert len(moved.axes.get_children()) == artists
    assert (moved.axes.get_xlim(), moved.axes.get_ylim()) == ((0, 100), (BOTTOM, TOP))


def test_only_the_named_artists_move():
    picture = ChainFigure(Figure())

    def background():
        for artist in picture.moving:
            artist.set_animated(True)  # left out of draw()
        return pixels(picture.axes.figure)

    empty = background()
    for arguments in CHAINS.values():
        picture.update(chain(*arguments))
        assert background() == empty


def test_the_picture_shows_each_product_at_its_layer():
    picture = ChainFigure(Figure())
    picture.update(chain(0.2, 14, torch.float16))
    exact, product, pinned = picture.axes.get_lines()
    assert exact.get_ydata() == pytest.approx([n * math.log10(0.2) for n in range(15)])
    assert product.get_xdata().tolist() == list(range(11))
    assert product.get_ydata()[10] == pytest.approx(math.log10(2 * 2**-24))
    assert pinned.get_xdata().tolist() == [11, 12, 13, 14]  # zero: along the lower edge
    assert BOTTOM < pinned.get_ydata().min() == pinned.get_ydata().max() < BOTTOM + 5
    picture.update(chain(5, 8, torch.float16))
    assert pinned.get_xdata().tolist() == [7, 8] and pinned.get_ydata().min() > TOP - 5


def test_the_zones_are_the_limits_of_the_type():
    picture = ChainFigure(Figure())
    picture.update(chain(2, 10, torch.float16))
    overflow, denormal, zero = (
        (patch.get_y(), patch.get_y() + patch.get_height()) for patch in picture.axes.patches
    )
    assert overflow == pytest.approx((math.log10(65504), TOP))
    assert denormal == pytest.approx((math.log10(2**-25), math.log10(2**-14)))
    assert zero == pytest.approx((BOTTOM, math.log10(2**-25)))


def test_zones_beyond_the_picture_have_no_name_in_it():
    picture = ChainFigure(Figure())
    picture.update(chain(2, 10, torch.float64))
    assert not any(text.get_visible() for text in picture.axes.texts if text.get_text() == "Inf")


def test_log_norms_are_drawn_in_decades_over_theory():
    axes = Figure().subplots()
    log_norms = torch.outer(torch.arange(11.0), torch.tensor([1.0, 2.0, 3.0])) * math.log(10)
    draw_log_norms(axes, log_norms, growth=2 * math.log(10), spread=0.1)
    *draws, mean = axes.get_lines()
    assert [line.get_ydata()[-1] for line in draws] == pytest.approx([10, 20, 30])
    assert mean.get_ydata()[-1] == pytest.approx(20)
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(20 + 0.2 * math.sqrt(10) / math.log(10))
