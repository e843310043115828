"""What a reader of a lab sees and takes hold of."""

import asyncio
import html
import re

import ipywidgets as widgets

from d2lstab.labs.controls import NumberSlider

LINE = 160
"""Characters of a line of the verdict, of which JupyterLab's page holds more."""


def picture(lab, name="picture"):
    """The PNG that the lab shows, or another one of its pictures."""
    data = bytes(getattr(lab, name).value)  # ipywidgets keeps a memoryview
    assert data.startswith(b"\x89PNG")
    return data


def words(lab):
    """The verdict as it is read: its three lines, each short enough for one."""
    text = html.unescape(re.sub("</?[ib]( [^>]*)?>", "", lab.verdict_line.value))
    lines = text.split("<br>")
    assert len(lines) == 3 and not any("<" in line for line in lines)
    assert all(len(line) <= LINE for line in lines), lines
    return lines


def ends(control):
    """The ends of a slider, or all of a menu."""
    if isinstance(control, NumberSlider):
        values = [value for _, value in control.options]
        return values[0], values[-1]
    if isinstance(control, widgets.Dropdown):
        return control._options_values
    if isinstance(control, widgets.Checkbox):
        return True, False
    return control.min, control.max


def drive(lab, *actions, patience=400):
    """Press "train" in a running loop, take a few turns between the actions, wait for the end."""

    async def run():
        lab.buttons["train"].click()
        for action in actions:
            for _ in range(patience):
                await asyncio.sleep(0.002)
                if lab.progress.value >= 3:
                    break
            action()
        await asyncio.wait_for(asyncio.gather(lab._training, return_exceptions=True), 60)

    asyncio.run(run())
