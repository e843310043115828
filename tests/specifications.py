"""What hypothesis draws: any specification of a network, extreme ones too."""

import hypothesis.strategies as st

from d2lstab.activations import ACTIVATIONS
from d2lstab.initialization import INITIALIZATIONS
from d2lstab.networks import NORM_PLACES, NetworkSpec
from d2lstab.normalization.named import NORMS

specs = st.builds(
    NetworkSpec,
    depth=st.integers(1, 25),
    width=st.integers(1, 24),
    activation=st.sampled_from(list(ACTIVATIONS)),
    init=st.sampled_from(list(INITIALIZATIONS)),
    gain=st.one_of(st.floats(0, 10), st.floats(0, 1e300)),
    bias_std=st.one_of(st.floats(0, 2), st.floats(0, 1e300)),
    norm=st.sampled_from([None, *NORMS]),
    residual=st.booleans(),
    dropout=st.floats(0, 0.99),
    seed=st.integers(0, 2**32 - 1),
    norm_place=st.sampled_from(NORM_PLACES),
    max_norm=st.none() | st.floats(1e-3, 100),
)
