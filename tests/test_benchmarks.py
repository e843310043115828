"""The benchmarks' instruments: what they compute from, and what they say when an aim is missed."""

import math

import pytest
import torch

from benchmarks import browser_report, scale_report
from benchmarks.browser import Run, Storm
from benchmarks.scale import Depth, at_depth, first_zeros
from benchmarks.variants import PASS, VARIANTS
from d2lstab import NetworkSpec, measure

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def plain():
    names, threads = {}, torch.get_num_threads()
    exec(PASS, names)
    torch.set_num_threads(threads)
    return names


@pytest.mark.parametrize("gain", [1.0, 1.6, 1.0])
def test_every_variant_measures_the_same_network(plain, gain):
    profile = measure(NetworkSpec(depth=50, width=128, gain=gain))
    gradient, activation = map(torch.tensor, plain["norms"](gain))
    assert torch.allclose(gradient.double(), profile.weight_gradient_norm, rtol=1e-4)
    mean_square = profile.activation_mean**2 + profile.activation_std**2
    spread = 128 * mean_square.sqrt()[:-1]  # the norm of 128 × 128 numbers
    assert torch.allclose(activation.double(), spread, rtol=1e-4)
    loss, _ = plain["one_pass"](gain)
    assert loss.item() == pytest.approx(profile.loss, rel=1e-4)


def test_the_variants_are_notebook_cells_with_a_slider_called_gain():
    for variant in VARIANTS:
        source = variant.source.replace("%matplotlib", "# %matplotlib")
        assert compile(source, variant.key, "exec")
        assert "GradientLab(" in source or "description='gain'" in source
    assert len({variant.key for variant in VARIANTS}) == len(VARIANTS)


def storm(paints=(100, 300, 1700), shown=True, after=2, jumps=()):
    return Storm([*map(float, paints)], 1650.0, after, shown, [*jumps])


def runs(milliseconds, **of_lab):
    """A run of two rounds for each variant, the second a third slower; a storm like `storm`."""
    made = []
    for variant in VARIANTS:
        time = milliseconds[variant.key]
        size = of_lab.get("size", 20_000)
        its_storm = storm(**{k: v for k, v in of_lab.items() if k != "size"})
        rounds = [[time, time, 2 * time], [4 / 3 * time] * 3]
        made.append(Run(variant, rounds, [size], [its_storm]))
    return made


REACHED = {"label": 40, "pass": 60, "panel": 80, "lab": 90, "ipympl": 185, "interact": 330}


def test_a_report_that_reaches_every_aim_misses_none(tmp_path):
    text = browser_report.write(runs(REACHED), [(1500.0, 2500.0), (1600.0, 2700.0)], tmp_path)
    assert "MISSED" not in text and text.count(", aim ") == 10
    assert (tmp_path / "browser.md").read_text() == text
    assert (tmp_path / "browser.png").read_bytes().startswith(b"\x89PNG")
    lab = next(line for line in text.splitlines() if line.startswith("| GradientLab"))
    # median of 90, 90, 180, 120, 120, 120; 90/60 in either round; 20 000 bytes
    assert [cell.strip() for cell in lab.split("|")[2:-1]] == ["120", "180", "1.50", "20.0"]
    assert "2.60 s" in text and "1.55 s" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lab": 95}, "3.47 times as fast as interact"),
        ({"lab": 93}, "1.99 times as fast as ipympl"),
        ({"pass": 44, "panel": 60}, "2.05 times the bare round trip"),
        ({"panel": 85}, "1.42 times the bare round trip"),
        ({"size": 40_001}, "40.0 kB an update"),
        ({"after": 3}, "2 updates behind"),
        ({"shown": False}, "the last value is always shown"),
        ({"jumps": ["0 0 → 0 14"]}, "1 layout jumps"),
    ],
)
def test_a_missed_aim_is_said(tmp_path, changed, said):
    times = {**REACHED, **{k: v for k, v in changed.items() if k in REACHED}}
    rest = {k: v for k, v in changed.items() if k not in REACHED}
    text = browser_report.write(runs(times, **rest), [], tmp_path)
    missed = [line for line in text.splitlines() if line.endswith("MISSED")]
    assert missed and said in missed[0]


def test_a_storms_gaps_and_the_time_until_its_last_value():
    one = storm(paints=(120, 400, 1900))
    assert one.longest_gap == 1500  # also counts the wait for the first picture
    assert one.until_last == 250
    assert storm(paints=(2000, 2100)).longest_gap == 2000


def test_the_power_of_the_depth_is_found():
    depths = [1, 10, 100, 1000, 10_000]
    for power in (0.5, 1, 2):
        assert scale_report.exponent(depths, [3 * d**power for d in depths]) == pytest.approx(power)
    flat_then_linear = [max(100.0, d) for d in depths]
    assert scale_report.exponent(depths, flat_then_linear) == pytest.approx(1)
    assert math.isnan(scale_report.exponent([1, 10, 100], [1, 1, 1]))


def test_growth_counts_the_second_half_only():
    held = [(n, 300 + min(n, 500) * 0.01) for n in range(0, 1001, 25)]
    assert scale_report.growth(held) == pytest.approx(0, abs=1e-6)
    assert scale_report.growth([(n, 300 + n * 0.002) for n in range(0, 1001, 25)]) == pytest.approx(
        2
    )


def test_a_deep_network_needs_no_recursion():
    deep = at_depth(1500)  # Python's own limit is 1000 calls
    assert deep.depth == 1500 and deep.seconds > 0 and deep.megabytes > 0


def test_flushing_denormals_moves_the_first_zero():
    # Sigmoid loses a factor of 0.23 a layer: the 23 binades of denormal numbers are 11 layers.
    kept, flushed = first_zeros()
    assert 0 < kept < flushed < 200
    assert flushed - kept == pytest.approx(23 * math.log(2) / -math.log(0.23), abs=2)


def test_the_scale_report_says_what_is_missed(tmp_path):
    linear = [Depth(d, 1e-4 * d, 5e-5 * d, 0.1 * d) for d in (10, 100, 1000)]
    square = [Depth(d, 1e-6 * d**2, 5e-5 * d, 0.1 * d) for d in (10, 100, 1000)]
    steady = [(n, 300.0) for n in range(0, 1001, 25)]
    leaking = [(n, 300 + 0.01 * n) for n in range(0, 1001, 25)]
    rest = ({50: 30.0}, {"matrix product": 1.0}, NetworkSpec(depth=200), (133, 144))
    assert "MISSED" not in scale_report.report(linear, steady, *rest)
    assert scale_report.report(square, steady, *rest).count("MISSED") == 1
    assert scale_report.report(linear, leaking, *rest).count("MISSED") == 1
    figure = scale_report.plot(linear, steady)
    figure.savefig(tmp_path / "scale.png")
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)
