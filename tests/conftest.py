"""What holds for every test."""

import torch

# The tensors here are small. A second thread makes them no faster, and where another process
# needs its core every operation waits for it: a pass of 10 ms was seen to take a second.
torch.set_num_threads(1)

# Test files, and lessons that nbval runs.
SLOWEST = ("test_browser", "test_teacher", "7-compare-the-cures", "5-train-ten-thousand-layers")


def pytest_collection_modifyitems(items):
    """Put the slowest files first, lest one worker be left alone with them."""
    items.sort(key=lambda item: item.path.stem not in SLOWEST)
