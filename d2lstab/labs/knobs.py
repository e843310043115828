"""A lab whose controls are the fields of a specification: one control for each knob."""

import random
from collections.abc import Callable
from dataclasses import asdict

import ipywidgets as widgets

from d2lstab.labs.controls import place
from d2lstab.labs.live import Lab
from d2lstab.labs.picture import LivePicture


class SpecLab(Lab):
    """Shows a frozen specification, of type `spec_type`, that its controls change field by field.

    spec : where the lab starts, and where `reset` goes back to; None for the type's defaults.
    """

    spec_type: type

    def __init__(
        self,
        spec: object,
        controls: dict[str, widgets.Widget],
        picture: LivePicture,
        above: list[widgets.Widget],
        below: tuple[widgets.Widget, ...] = (),
    ):
        self.start = self.spec_type() if spec is None else spec
        if not isinstance(self.start, self.spec_type):
            raise TypeError(f"spec must be a {self.spec_type.__name__}; got {spec!r}.")
        for name, value in self.to_values(self.start).items():
            controls[name].description = controls[name].description or name.replace("_", " ")
            place(controls[name], value)
        super().__init__(controls, picture, above, list(below))

    def to_spec(self, values: dict[str, object]) -> object:
        """The specification for these values of the controls; raises for a wrong one."""
        return self.spec_type(**values)

    def to_values(self, spec: object) -> dict[str, object]:
        """The values of the controls for a specification."""
        return asdict(spec)

    @property
    def spec(self) -> object:
        """The specification that the controls show; set it to move them."""
        return self.to_spec(self.values)

    @spec.setter
    def spec(self, spec: object) -> None:
        self.set(**self.to_values(spec))

    def checked(self, values: dict[str, object]) -> dict[str, object]:
        return self.to_values(self.to_spec(values))

    def reset(self) -> None:
        """Put every control back to where the lab opened; what is pinned stays, to compare."""
        self.spec = self.start

    def new_seed(self) -> None:
        """Draw other weights."""
        self.controls["seed"].value = random.SystemRandom().randrange(10_000)

    def button(self, text: str, tooltip: str, action: Callable[[], object]) -> widgets.Button:
        """A button that runs ``action``; what it raises is shown in the verdict line."""
        button = widgets.Button(description=text, tooltip=tooltip, layout={"width": "auto"})
        button.on_click(lambda _: self._press(action))
        return button

    def _press(self, action: Callable[[], object]) -> None:
        with self.lock, self.errors_shown():
            action()
