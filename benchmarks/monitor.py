"""What listening costs: training steps under `Monitor` against the same steps without it.

python -m benchmarks.monitor
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import compare, table
from d2lstab import Monitor, NetworkSpec, build
from d2lstab.datasets import digits

STEPS = 10  # a call


def training(network: nn.Module, inputs: Tensor, labels: Tensor) -> Callable[[], None]:
    """Return a function that takes `STEPS` steps of SGD with momentum."""
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)

    def steps() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(network(inputs), labels).backward()
            optimizer.step()

    return steps


def watched(network: nn.Module, inputs: Tensor, labels: Tensor, every: int) -> Callable[[], None]:
    """The same under a monitor that looks at each ``every``-th step."""
    steps = training(network, inputs, labels)

    def steps_watched() -> None:
        with Monitor(network, every=every):
            steps()

    return steps_watched


def anomaly_mode(network: nn.Module, inputs: Tensor, labels: Tensor) -> Callable[[], None]:
    """The same under PyTorch's own search for NaN, which watches the backward pass only."""
    steps = training(network, inputs, labels)

    def steps_in_anomaly_mode() -> None:
        with torch.autograd.set_detect_anomaly(True):
            steps()

    return steps_in_anomaly_mode


def perceptron() -> nn.Module:
    return build(NetworkSpec(depth=50, width=128, activation="tanh", init="xavier"))


def convolutional() -> nn.Module:
    """The book's LeNet with ReLU, the digits' 8 × 8 pixels enlarged to the 28 × 28 it wants."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Upsample(size=28),
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def cost(title: str, make: Callable[[], nn.Module], rounds: int) -> str:
    """The table of one kind of network."""
    batch = digits(128)
    data = batch.inputs, batch.labels
    timings = compare(
        {
            "training alone": training(make(), *data),
            "Monitor(network)": watched(make(), *data, every=1),
            "Monitor(network, every=10)": watched(make(), *data, every=STEPS),
            "torch.autograd.set_detect_anomaly(True)": anomaly_mode(make(), *data),
        },
        rounds,
    )
    limits = {"Monitor(network)": 1.5, "Monitor(network, every=10)": 1.1}
    return table(f"{title}, batch 128, {STEPS} steps of SGD", timings, limits)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(cost("tanh, depth 50, width 128", perceptron, 30), end="\n\n", flush=True)
    print(cost("LeNet with ReLU, 28 × 28 pixels", convolutional, 60))
