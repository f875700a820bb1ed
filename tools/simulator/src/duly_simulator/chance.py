"""Chance without state: every draw is a hash of what it is about, so its order and neighbours do not matter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeVar

_T = TypeVar("_T")
_STANDARD_NORMAL = NormalDist()
_SCALE = float(2**53)


def uniform(seed: int, *about: str) -> float:
    """A number in (0, 1), the same for the same seed and subject on every machine."""
    # Length prefixes keep ("a|b", "c") and ("a", "b|c") apart.
    text = f"{seed}|" + "".join(f"{len(part)}:{part}" for part in about)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 11
    return (number + 0.5) / _SCALE


def normal(seed: int, *about: str) -> float:
    """A draw from the standard normal distribution."""
    return _STANDARD_NORMAL.inv_cdf(uniform(seed, *about))


def whole(low: int, high: int, seed: int, *about: str) -> int:
    """A whole number in low..high, both ends included."""
    return low + int(uniform(seed, *about) * (high - low + 1))


def pick(choices: Sequence[tuple[_T, float]], seed: int, *about: str) -> _T:
    """One of the choices by its share; the shares need not add up to 1."""
    point = uniform(seed, *about) * sum(share for _, share in choices)
    for choice, share in choices:
        point -= share
        if point < 0:
            return choice
    return choices[-1][0]
