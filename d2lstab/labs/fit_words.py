"""What the regularization lab says: how well it fits, its weights, and the steps it took."""

from d2lstab.regularization.fit import Fit

_COLORS = {
    "fine": "stable", "overfitting": "saturated", "underfitting": "vanishing",
    "diverged": "exploding",
}  # fmt: skip
_LOW, _HIGH = (str.maketrans("0123456789", digits) for digits in ("₀₁₂₃₄₅₆₇₈₉", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def fit_html(fit: Fit) -> str:
    """Three lines: the errors and what they mean, the weights, and the training."""
    badge = f'<b class="d2lstab-{_COLORS[fit.kind]}">{fit.kind}</b> {_errors(fit)}'
    return "<br>".join((badge, f"<i>Weights</i> {_weights(fit)}", f"<i>Steps</i> {_steps(fit)}"))


def _errors(fit: Fit) -> str:
    train, test, noise = fit.train_errors[-1], fit.test_errors[-1], fit.spec.noise
    if fit.kind == "diverged":
        return (
            f"Train error {_short(train)}: each step overshoots further than the one before. A "
            "smaller learning rate mends it, or a clip."
        )
    return f"Train error {_short(train)}, test error {_short(test)}, noise {_short(noise)}: " + (
        "no fit can have a test error below the noise, and this one comes near."
        if fit.kind == "fine"
        else "the examples, too, are fitted badly, so that more of them would not help."
        if fit.kind == "underfitting"
        else f"on these examples even sin πx has {_short(fit.true_train_error)}: noise is fitted."
        if train < fit.true_train_error
        else "the examples are fitted far better than what lies between them."
    )


def _weights(fit: Fit) -> str:
    spec, count = fit.spec, len(fit.weights)
    zeros = f"{fit.zeros} of {count} are exactly 0"
    if spec.model == "network":
        return f"{zeros}; nobody knows the minimum of a network's loss exactly, so none is drawn."
    if spec.l1 and spec.dropout and not fit.zeros:
        zeros += " (the noise of dropout moves them away)"
    k = str(spec.degree)
    chebyshev = f"T₁ … T{k.translate(_LOW)}" if spec.degree > 1 else "T₁"
    powers = f"x … x{k.translate(_HIGH)}" if spec.degree > 1 else "x"
    return (
        f"{zeros}. Condition number of {chebyshev} at the examples: {_short(fit.condition)}; "
        f"of {powers} there: {_short(fit.monomial_condition)}."
    )


def _steps(fit: Fit) -> str:
    spec = fit.spec
    words = [f"{spec.steps} done"]
    if spec.clip is not None:
        words.append(f"the clip shortened the gradient in {fit.clipped:.0%} of them")
    if fit.kind != "diverged":
        best = fit.test_errors[fit.best]
        if best < 0.98 * fit.test_errors[-1]:
            words.append(f"the test error was least, {_short(best)}, after {fit.steps[fit.best]}")
        if fit.distance is not None:
            words.append(_distance(fit))
    return "; ".join(words) + "."


def _distance(fit: Fit) -> str:
    minimum = "exact minimum" + " of the mean over masks" * bool(fit.spec.dropout)
    if fit.distance < 0.01:
        return f"the curve is the {minimum}, within {_short(fit.distance)}"
    return f"the curve is {_short(fit.distance)} from the {minimum}"


def _short(number: float) -> str:
    """Three digits, and powers of ten only where they save room.

    >>> _short(0.1234), _short(1.23e9), _short(2e-12)
    ('0.123', '1.2e+09', '2e-12')
    """
    return f"{number:.3g}" if 0.001 <= number < 1000 or not number else f"{number:.2g}"
