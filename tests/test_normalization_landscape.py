"""The loss along the gradient: on a quadratic everything is known, and nothing is left changed."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from d2lstab import NetworkSpec, build
from d2lstab.datasets import digits
from d2lstab.normalization.landscape import along_gradient, length, loss_and_gradient, trained

STEPS = (0.01, 0.1, 0.3)


class Quadratic(nn.Module):
    """½ w·Aw, whatever the inputs."""

    def __init__(self, matrix, start):
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.w = nn.Parameter(start)

    def forward(self, _inputs):
        return self.w @ self.matrix @ self.w / 2


def quadratic(seed=0, size=6):
    """A quadratic with eigenvalues from 0.5 to 4, its matrix and the start."""
    generator = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    matrix = q @ torch.diag(torch.linspace(0.5, 4, size, dtype=torch.float64)) @ q.T
    start = torch.randn(size, generator=generator, dtype=torch.float64)
    return Quadratic(matrix, start.clone()), matrix, start


def itself(output, _labels):
    return output


def walk(network, **settings):
    return along_gradient(network, torch.zeros(1), torch.zeros(1), STEPS, itself, **settings)


def test_the_loss_along_the_gradient_of_a_quadratic_is_a_parabola():
    network, a, w = quadratic()
    g, steps = a @ w, torch.tensor(STEPS, dtype=torch.float64)
    line = walk(network)
    assert line.loss == pytest.approx((w @ a @ w / 2).item())
    assert_close(line.losses, line.loss - steps * (g @ g) + steps**2 / 2 * (g @ a @ g))
    assert_close(line.steps, steps)


def test_the_gradient_of_a_quadratic_changes_in_proportion_to_the_step():
    network, a, w = quadratic()
    g, steps = a @ w, torch.tensor(STEPS, dtype=torch.float64)
    line = walk(network)
    assert line.gradient_norm == pytest.approx(g.norm().item())
    assert_close(line.lengths, steps * g.norm())
    assert_close(line.gradient_distances, steps * (a @ g).norm())


def test_the_smoothness_of_a_quadratic_is_a_quotient_below_the_largest_eigenvalue():
    for seed in range(5):
        network, a, w = quadratic(seed)
        g = a @ w
        assert walk(network).smoothness == pytest.approx(((a @ g).norm() / g.norm()).item())
        assert 0.5 < walk(network).smoothness < 4


def test_from_an_eigenvector_the_smoothness_is_the_eigenvalue():
    values, vectors = torch.linalg.eigh(quadratic()[1])
    network = Quadratic(quadratic()[1], 3 * vectors[:, -1])
    assert walk(network).smoothness == pytest.approx(values[-1].item())


def test_the_smoothness_is_the_largest_change_that_was_met():
    network = nn.Linear(1, 1, bias=False)  # the loss is w⁴: it steepens and flattens on the way
    nn.init.ones_(network.weight)
    line = along_gradient(
        network, torch.ones(1, 1), torch.zeros(1), [0.1, 1], lambda y, _: (y**4).sum()
    )
    expected = [(4 * 0.6**3 - 4) / 0.4, (4 * 27 + 4) / 4]  # at w = 1 − 0.4 and w = 1 − 4
    assert_close(line.changes.tolist(), [abs(e) for e in expected], rtol=1e-5, atol=0)
    assert line.smoothness == pytest.approx(28)


def test_relative_steps_are_shares_of_the_norm_and_curvatures_are_multiplied_by_its_square():
    network, a, w = quadratic()
    line, g = walk(network, relative=True), a @ w
    steps, norm = torch.tensor(STEPS, dtype=torch.float64), w.norm()
    assert_close(line.lengths, steps)
    assert line.gradient_norm == pytest.approx((norm * g.norm()).item())
    there = [w - step * norm * g / g.norm() for step in STEPS]
    assert_close(line.losses, torch.stack([v @ a @ v / 2 for v in there]))
    assert line.smoothness == pytest.approx((norm**2 * (a @ g).norm() / g.norm()).item())


def test_relative_steps_move_each_tensor_in_units_of_its_own_norm():
    network = nn.Linear(3, 4).double()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    labels = torch.arange(8) % 4
    with torch.no_grad():
        network.weight *= 7
        network.bias[:] = torch.tensor([1.0, 2.0, 0.0, -1.0])
    line = along_gradient(network, inputs, labels, [0.2], relative=True)
    w, b = network.weight.detach(), network.bias.detach()

    def loss(u, v):
        return F.cross_entropy(F.linear(inputs, w.norm() * u, b.norm() * v), labels)

    start = w / w.norm(), b / b.norm()
    gu, gv = torch.autograd.functional.jacobian(loss, start)
    total = (gu.square().sum() + gv.square().sum()).sqrt()
    there = loss(start[0] - 0.2 * gu / total, start[1] - 0.2 * gv / total)
    assert line.losses.item() == pytest.approx(there.item(), rel=1e-9)


def test_a_tensor_that_is_zero_stays_in_relative_steps():
    network = nn.Linear(2, 2)
    nn.init.zeros_(network.weight)
    nn.init.ones_(network.bias)
    inputs, labels = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(4)
    line = along_gradient(network, inputs, labels.long(), [0.5], relative=True)
    shifted = torch.ones(2) - 0.5 * 2**0.5 * torch.tensor([-1.0, 1.0]) / 2**0.5
    assert line.losses.item() == pytest.approx((-shifted.log_softmax(0)[0]).item(), rel=1e-5)


def rescaled(network, factor):
    """The same network with its hidden weight matrices multiplied, in front of batch norms."""
    twin = build(NetworkSpec(depth=3, width=64, norm="batch")).double()
    state = network.state_dict().items()
    twin.load_state_dict({k: factor * v if v.shape == (64, 64) else v for k, v in state})
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eps = 1e-30  # of float64: none
    return twin


def test_relative_measures_of_a_batch_norm_network_do_not_see_the_size_of_its_weights():
    batch = digits(64)
    inputs, labels = batch.inputs.double(), batch.labels
    network = rescaled(build(NetworkSpec(depth=3, width=64, norm="batch")).double(), 1)
    lines = [
        along_gradient(rescaled(network, factor), inputs, labels, STEPS, relative=True)
        for factor in (0.1, 1, 30)
    ]
    for other in (lines[0], lines[2]):
        assert_close(other.losses, lines[1].losses)
        assert_close(other.changes, lines[1].changes)
    raw = [along_gradient(rescaled(network, f), inputs, labels, STEPS).smoothness for f in (1, 3)]
    assert raw[0] > 4 * raw[1]


class Demanding(nn.Module):
    """Batch norm, dropout, a frozen layer, a layer in eval mode, tied weights."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.norm, self.dropout, self.frozen = nn.BatchNorm1d(64), nn.Dropout(), nn.Linear(64, 64)
        self.asleep, self.last = nn.BatchNorm1d(64).eval(), nn.Linear(64, 10)
        self.frozen.requires_grad_(False)
        self.tied = nn.Linear(64, 64)
        self.tied.weight = self.first.weight

    def forward(self, x):
        x = self.dropout(self.norm(self.first(x)).tanh())
        return self.last(self.asleep(self.tied(self.frozen(x)).tanh()))


def test_the_network_and_the_global_random_state_are_as_before():
    batch, network = digits(32), Demanding()
    network.asleep.eval()
    network.last.weight.grad = torch.full_like(network.last.weight, 7.0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes, random = [m.training for m in network.modules()], torch.get_rng_state()
    with torch.no_grad():
        line = along_gradient(network, batch.inputs, batch.labels, STEPS)
    assert line.losses.isfinite().all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [m.training for m in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert network.first.weight.grad is None and (network.last.weight.grad == 7).all()


def test_random_layers_draw_the_same_at_every_step():
    batch = digits(32)
    network = nn.Sequential(nn.Dropout(), nn.Linear(64, 10))
    line = along_gradient(network, batch.inputs, batch.labels, [1e-6, 1e-6])
    assert line.losses[0] == line.losses[1] and abs(line.losses[0] - line.loss) < 1e-4


def test_the_gradient_is_the_one_of_the_backward_pass_and_frozen_parameters_have_none():
    batch, network = digits(32), build(NetworkSpec(depth=2, width=16, norm="batch"))
    network[0].weight.requires_grad_(False)
    loss, gradient = loss_and_gradient(network, trained(network), batch.inputs, batch.labels)
    expected = F.cross_entropy(network(batch.inputs), batch.labels)
    expected.backward()
    assert loss == pytest.approx(expected.item())
    assert "0.weight" not in gradient
    for name, parameter in network.named_parameters():
        if name in gradient:
            assert_close(gradient[name], parameter.grad)
    assert length(gradient) == pytest.approx(
        nn.utils.get_total_norm(gradient.values()).item(), rel=1e-5
    )


def test_an_unused_parameter_has_gradient_zero():
    network = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    network.forward = lambda x: network[0](x)
    line = along_gradient(network, torch.ones(3, 2), torch.tensor([0, 0, 1]), [0.1])
    assert line.smoothness > 0


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ([], ValueError, "one number at least"),
        ([0.1, 0.0], ValueError, "each of steps must be .*> 0"),
        (["0.1"], TypeError, "each of steps"),
    ],
)
def test_steps_that_are_none_are_refused(steps, error, message):
    with pytest.raises(error, match=message):
        along_gradient(nn.Linear(2, 2), torch.ones(1, 2), torch.tensor([0]), steps)


def test_a_network_that_cannot_move_is_refused():
    frozen = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter that is trained"):
        along_gradient(frozen, torch.ones(1, 2), torch.tensor([0]), [0.1])
    with pytest.raises(ValueError, match="gradient is 0"):
        walk(Quadratic(torch.eye(2), torch.zeros(2)))
    with pytest.raises(ValueError, match="lazy"):
        along_gradient(nn.LazyLinear(2), torch.ones(1, 2), torch.tensor([0]), [0.1])
