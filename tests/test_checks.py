"""What a caller gets to hear of a wrong value."""

from fractions import Fraction

import numpy as np
import pytest

from d2lstab.checks import choice, integer, real


@pytest.mark.parametrize("value", [1, 200, np.int64(7), np.uint8(9)])
def test_an_integer_in_range_becomes_pythons(value):
    assert integer("depth", value, 1, 200) == value
    assert type(integer("depth", value, 1, 200)) is int


@pytest.mark.parametrize("value", [0, -1, 201, 10**400])
def test_an_integer_out_of_range_is_a_value_error_that_says_the_range(value):
    with pytest.raises(ValueError, match=rf"an integer from 1 to 200; got {value}\.$"):
        integer("depth", value, 1, 200)


@pytest.mark.parametrize("value", [1.0, "1", None, True, np.float64(1), [1]])
def test_what_is_no_integer_is_a_type_error(value):
    with pytest.raises(TypeError, match="^every must be an integer ≥ 1; got "):
        integer("every", value, 1)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.25), Fraction(1, 3)])
def test_a_number_in_range_becomes_pythons_float(value):
    assert real("p", value, 0, 1) == float(value) and type(real("p", value, 0, 1)) is float


@pytest.mark.parametrize("value", [-0.1, 1, float("nan"), float("inf"), 10**400])
def test_a_number_out_of_range_is_a_value_error_that_says_the_range(value):
    with pytest.raises(ValueError, match="^p must be a finite number ≥ 0 and < 1; got "):
        real("p", value, 0, 1)


def test_a_bound_may_be_open_or_missing():
    assert real("std", 1e-300, above=0) == 1e-300
    with pytest.raises(ValueError, match=r"^std must be a finite number > 0; got 0\.$"):
        real("std", 0, above=0)
    assert real("bias", -1e300) == -1e300
    with pytest.raises(ValueError, match=r"^bias must be a finite number; got -inf\.$"):
        real("bias", float("-inf"))


@pytest.mark.parametrize("value", ["1", None, False, 1j, [1.0]])
def test_what_is_no_real_number_is_a_type_error(value):
    with pytest.raises(TypeError, match="^std must be a finite number > 0; got "):
        real("std", value, above=0)


def test_a_wrong_name_is_answered_with_the_nearest_valid_one():
    assert choice("init", "he", ["he", "xavier"]) == "he"
    with pytest.raises(ValueError, match="got 'XAVIR'. Did you mean 'xavier'?"):
        choice("init", "XAVIR", ["he", "xavier"])
    with pytest.raises(ValueError, match=r"^norm must be None or one of 'batch'; got 'zzz'\.$"):
        choice("norm", "zzz", ["batch"], also="None or ")
    with pytest.raises(TypeError, match=r"^init must be one of 'he'; got 3\.$"):
        choice("init", 3, ["he"])
