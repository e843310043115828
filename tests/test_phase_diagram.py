"""The phase diagram, looked up in tables, is what the theory of single points says."""

import numpy as np
import pytest

from d2lstab.meanfield import edge_of_chaos, phase
from d2lstab.phase_diagram import ENDS, phase_diagram


@pytest.mark.parametrize("activation", ["tanh", "relu", "leaky_relu", "elu", "selu", "sigmoid"])
def test_the_diagram_is_what_theory_says_point_by_point(activation):
    diagram = phase_diagram(activation)
    rng = np.random.default_rng(3)
    rows = rng.integers(0, len(diagram.bias_variance), 12)
    columns = rng.integers(1, len(diagram.weight_variance), 12)
    for row, column in zip(rows, columns, strict=True):
        std = diagram.weight_variance[column] ** 0.5, diagram.bias_variance[row] ** 0.5
        point = phase(activation, *std)
        assert diagram.chi[row, column] == pytest.approx(point.chi, rel=0.005)
        assert diagram.variance[row, column] == pytest.approx(point.variance, rel=0.01)
        rate = 1 / diagram.correlation_depth[row, column]
        assert rate == pytest.approx(1 / point.correlation_depth, abs=0.012)


def test_the_edge_of_tanh_is_the_published_one():
    diagram = phase_diagram("tanh")
    # Schoenholz et al. 2017: σ_w² = 1.76 at σ_b² = 0.05; without biases 1, for φ'(0) = 1
    assert np.interp(0.05, diagram.bias_variance, diagram.edge) == pytest.approx(1.761, abs=0.004)
    assert diagram.edge[0] == pytest.approx(1, abs=0.003)
    assert (np.diff(diagram.edge) > 0).all()


# at a jump two fixed points meet and the map touches the diagonal: hardest to see in a table
@pytest.mark.parametrize(
    ("activation", "error"),
    [("gelu", 0.012), ("silu", 0.012), ("elu", 0.004), ("selu", 0.004), ("sigmoid", 0.004)],
)
def test_the_edge_is_where_theory_has_it_also_where_it_jumps(activation, error):
    diagram = phase_diagram(activation)
    for row in (30, 60, 100):
        expected = edge_of_chaos(activation, diagram.bias_variance[row] ** 0.5) ** 2
        assert diagram.edge[row] == pytest.approx(expected, rel=error)


def test_relu_is_what_its_closed_form_says():
    diagram = phase_diagram("relu")
    sigma, bias = np.meshgrid(diagram.weight_variance, diagram.bias_variance)
    np.testing.assert_allclose(diagram.chi, sigma / 2, rtol=1e-9)
    np.testing.assert_allclose(diagram.edge, 2, rtol=1e-6)
    settles = (sigma < 1.9) & (bias > 1e-4)
    expected = bias / (1 - np.minimum(sigma, 1.95) / 2)
    np.testing.assert_allclose(diagram.variance[settles], expected[settles], rtol=0.01)
    assert np.isinf(diagram.variance[(sigma > 2.01) & (bias > 0)]).all()
    assert (diagram.variance[(sigma < 1.99) & (bias == 0)] == 0).all()


def test_the_axis_of_the_weights_ends_where_there_is_some_chaos():
    ends = {name: phase_diagram(name).weight_variance[-1] for name in ("tanh", "sigmoid", "linear")}
    assert ends == {"tanh": 4, "sigmoid": 256, "linear": 4}  # σ' ≤ 1/4: chaos needs σ_w² > 16
    assert ENDS == (4, 16, 64, 256)
    diagram = phase_diagram("sigmoid", 9.0, 2.0)
    assert (diagram.weight_variance[-1], diagram.bias_variance[-1]) == (9, 2)
    assert (diagram.chi < 1).all() and np.isnan(diagram.edge).all()
    shape = len(diagram.bias_variance), len(diagram.weight_variance)
    for values in (diagram.variance, diagram.chi, diagram.correlation_depth):
        assert values.shape == shape and not np.isnan(values).any()


def test_a_diagram_is_computed_once():
    assert phase_diagram("tanh") is phase_diagram("tanh")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tahn",), "activation must be one of .* Did you mean 'tanh'"),
        (("hard_step",), "hard_step has no phase diagram: its derivative is 0"),
        (("tanh", 0), "weight_variance must be a finite number > 0; got 0"),
        (("tanh", 4.0, -1.0), "bias_variance must be a finite number > 0; got -1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        phase_diagram(*arguments)
