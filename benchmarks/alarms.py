"""What stands behind `Thresholds`: which alarms ring where networks learn, and where they fail.

python -m benchmarks.alarms     (about four minutes on one core)
"""

from collections import Counter, defaultdict
from itertools import product

import torch

from d2lstab import Monitor, NetworkSpec, build
from d2lstab.training import accuracy, train

STEPS, LEARNED = 150, 0.6
RATES = (1e-4, 1e-3, 1e-2, 0.1, 0.5, 3.0)
SCHEMES = (("tanh", "xavier"), ("relu", "he"), ("sigmoid", "xavier"))


def specs() -> list[NetworkSpec]:
    """Plain networks of three depths and three gains."""
    return [
        NetworkSpec(depth=depth, width=64, activation=activation, init=init, gain=gain)
        for depth, (activation, init), gain in product((3, 10, 30), SCHEMES, (0.5, 1.0, 2.0))
    ]


def main() -> None:
    torch.set_num_threads(1)
    rung: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    ratios, norms, runs = defaultdict(list), [], Counter()
    for spec, rate in product(specs(), RATES):
        network = build(spec)
        with Monitor(network, every=2) as monitor:
            for _ in train(network, STEPS, rate):
                pass
        score, record = accuracy(network), monitor.record
        learned = score >= LEARNED
        kinds = {alarm.kind.partition(" ")[0] if alarm.kind.startswith("nan") else alarm.kind
                 for alarm in record.alarms}  # fmt: skip
        runs[learned] += 1
        rung[learned].update(kinds or {"none"})
        if learned:
            middle = record.update_ratio[5:].nanmedian().item()
            ratios[rate].append(middle)
            norms.append(record.total_gradient_norm.max().item())
        name = f"{spec.activation} depth {spec.depth} gain {spec.gain:g} rate {rate:g}"
        print(f"{score:5.0%}  {name:42} {', '.join(sorted(kinds))}", flush=True)
    silent = {learned: rung[learned]["none"] for learned in rung}
    print(
        f"\nalarms rang in {runs[True] - silent[True]} of {runs[True]} runs that learned "
        f"and in {runs[False] - silent[False]} of {runs[False]} that did not; by kind:"
    )
    for kind in sorted((rung[True] | rung[False]).keys() - {"none"}):
        print(f"{kind:14} {rung[True][kind]:4} {rung[False][kind]:4}")
    every = torch.tensor([ratio for some in ratios.values() for ratio in some])
    print(f"median ‖Δw‖/‖w‖ where they learned: {every.min():.0e} to {every.max():.0e}")
    print(f"largest gradient norm where they learned: {max(norms):.0e}")


if __name__ == "__main__":
    main()
