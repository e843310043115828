"""The regions lab: one state's word for a soft drink, taken on a trip through the others."""

from functools import lru_cache

import ipywidgets as widgets
from matplotlib.figure import Figure

from d2lstab import checks
from d2lstab.figures.regions import RegionsFigure
from d2lstab.labs.controls import grid
from d2lstab.labs.live import Lab
from d2lstab.labs.picture import LivePicture
from d2lstab.shift.regions import ROUND_TRIP, SHARES, WORDS, best_labels, drinks_in


class RegionsLab(Lab):
    """Choose the state that a model is from, and drive it along `ROUND_TRIP`.

    home : the postal code of the state at the start.

    `accuracies` holds how often the model is right, by state, exactly.

    >>> lab = RegionsLab("CA")
    >>> lab.set(home="GA", stop=9)
    >>> lab.accuracies["OH"]
    0.51
    """

    def __init__(self, home: str = "CA"):
        self.accuracies: dict[str, float]
        self._figure = RegionsFigure(Figure(figsize=(11.04, 4.9), dpi=100))
        controls = {
            "home": widgets.Dropdown(
                options=sorted(SHARES), value=checks.choice("home", home, SHARES),
                description="model from",
            ),
            "stop": widgets.IntSlider(1, min=1, max=len(ROUND_TRIP), description="stop"),
        }  # fmt: skip
        picture = LivePicture(self._figure.figure, self._figure.moving)
        super().__init__(controls, picture, [grid(list(controls.values()))], [])

    def checked(self, values: dict[str, object]) -> dict[str, object]:
        checks.choice("home", values["home"], SHARES)
        checks.integer("stop", values["stop"], 1, len(ROUND_TRIP))
        return values

    def show(self, values: dict[str, object]) -> str:
        home, stop = values["home"], values["stop"]
        self.accuracies = accuracies_of(home)
        self._figure.update(self.accuracies, home, stop)
        self.picture.paint(background=home)
        at = ROUND_TRIP[stop - 1]
        word, share = WORDS[SHARES[home].argmax()], SHARES[at][SHARES[home].argmax()]
        loss = (SHARES[at].max() - share) / 2
        kind, name = ("exploding", "another word") if loss > 0 else ("stable", "the same word")
        return (
            f'<b class="d2lstab-{kind}">{name}</b> In {at} {100 * share:.0f} % say <i>{word}</i>. '
            f"The model from {home} is right {100 * self.accuracies[at]:.1f} % of the time, "
            f"{100 * loss:.1f} points less than the best model of {at}."
        )


@lru_cache(maxsize=len(SHARES))
def accuracies_of(home: str) -> dict[str, float]:
    """How often the best model of ``home`` is right in each state, exactly, by postal code."""
    model = best_labels(drinks_in([home]))
    return {state: drinks_in([state]).accuracy(model) for state in SHARES}
