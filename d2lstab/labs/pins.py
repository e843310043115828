"""A button that keeps what a lab shows, to compare it with what comes next."""

import ipywidgets as widgets


class Pins:
    """Gives a `SpecLab` the button "pin", and the calls `pin` and `unpin`.

    A subclass puts `make_pin_button` on the page, says in `to_pin` what is kept of the picture,
    and draws `pinned`, None for nothing, in `repaint`.
    """

    pinned: object = None

    def make_pin_button(self, what: str) -> widgets.Button:
        """Make the button; ``what`` is kept, "this fit" for example."""
        self.pin_button = self.button("pin", f"keep {what}, dashed, to compare", self._toggle_pin)
        return self.pin_button

    def to_pin(self) -> object:
        """What to keep of what is shown; None where there is nothing."""
        raise NotImplementedError

    def repaint(self) -> object:
        """Paint what is shown once more."""
        raise NotImplementedError

    def pin(self) -> None:
        """Keep what is shown, dashed, behind whatever comes next."""
        if (kept := self.to_pin()) is not None:
            self._set_pinned(kept)

    def unpin(self) -> None:
        """Forget what was pinned."""
        self._set_pinned(None)

    def _toggle_pin(self) -> None:
        self.pin() if self.pinned is None else self.unpin()

    def _set_pinned(self, kept: object) -> None:
        self.pinned = kept
        self.pin_button.description = "pin" if kept is None else "unpin"
        self.repaint()
