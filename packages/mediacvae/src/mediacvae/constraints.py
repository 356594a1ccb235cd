"""What a user forbids or demands of a recipe, and how a recipe is changed to obey.

Letters as in `mediacvae.recipes`: n recipes, m ingredients, x (n, m) [g/L].
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mediacvae.ingredients import is_complex
from mediacvae.names import folded, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

ACID = 6.0  # pH below which carbonates leave the medium as CO2
# pKa of what keeps a pH [25 °C; Good et al. 1966 and the CRC Handbook], by words in a name
_BUFFERS: tuple[tuple[str, tuple[float, ...]], ...] = (
    (r"h2po4|hpo4|phosphate", (2.15, 7.20, 12.35)),
    (r"hco3|na2co3|k2co3|bicarbonate|carbonate", (6.35, 10.33)),
    (r"citric|citrate", (3.13, 4.76, 6.40)),
    (r"acetic acid|acetate", (4.76,)),
    (r"\bmes\b", (6.15,)),
    (r"pipes", (6.80,)),
    (r"mops", (7.20,)),
    (r"hepes", (7.55,)),
    (r"\btris|tromethamine", (8.10,)),
    (r"tricine", (8.15,)),
    (r"borate|b4o7", (9.24,)),
    (r"\bcaps\b", (10.40,)),
)
_CARBONATE = r"hco3|co3\b|carbonate"


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """Exclude, require or cap ingredients; defined media only; a pH.

    exclude: names. require: g/L by name, None where any usual amount will do. cap: greatest g/L by name. defined:
    nothing of unknown composition. ph: below 6 carbonates are taken out (they would leave as CO2); `buffers` says which
    ingredients keep it. Raises ValueError for an amount or a pH out of range.
    """

    exclude: tuple[str, ...] = ()
    require: Mapping[str, float | None] = field(default_factory=dict)
    cap: Mapping[str, float] = field(default_factory=dict)
    defined: bool = False
    ph: float | None = None

    def __post_init__(self) -> None:
        """Refuse amounts and a pH outside their range."""
        for what, amounts in (("require", self.require), ("cap", self.cap)):
            for name, amount in amounts.items():
                zero = what == "require" and amount == 0
                if amount is not None and (not (math.isfinite(amount) and amount >= 0) or zero):
                    room = "above 0" if what == "require" else "of at least 0"
                    msg = f"{what} {name!r}: expected a finite number of g/L {room}, got {amount!r}"
                    raise ValueError(msg)
        if self.ph is not None and not 0.0 <= self.ph <= 14.0:
            msg = f"ph: expected a number from 0 to 14, got {self.ph!r}"
            raise ValueError(msg)

    def checked(self, ingredients: Sequence[str]) -> Constraints:
        """The same with every name spelt as in `ingredients` (capitals and spaces apart, they must be known).

        Raises ValueError for a name that is not known, with the nearest that is, and for demands that no recipe meets:
        required and excluded, required above its cap, complex and required in a defined medium, a carbonate at pH < 6.
        """
        spelt = {folded(name): name for name in reversed(ingredients)}

        def known(name: str, what: str) -> str:
            if folded(name) not in spelt:
                hint = nearest(name, reversed(ingredients), as_read=folded)
                msg = f"{what}: unknown ingredient {name!r}{hint}"
                raise ValueError(msg)
            return name if name in ingredients else spelt[folded(name)]

        def each(amounts: Mapping[str, Any], what: str) -> dict[str, Any]:
            made: dict[str, Any] = {}
            for name, amount in amounts.items():
                if made.setdefault(known(name, what), amount) != amount:
                    msg = f"{what}: {known(name, what)!r} is given two amounts, the second as {name!r}"
                    raise ValueError(msg)
            return made

        same = replace(
            self,
            exclude=tuple(dict.fromkeys(known(name, "exclude") for name in self.exclude)),
            require=each(self.require, "require"),
            cap=each(self.cap, "cap"),
        )
        for name, amount in same.require.items():
            same._refuse_contradiction(name, amount)
        return same

    def forbidden(self, ingredients: Sequence[str]) -> np.ndarray:
        """Which ingredients may not be in a recipe, (m,) bool."""
        return np.array([self._forbids(name) is not None for name in ingredients], dtype=bool)

    def apply(
        self, x: np.ndarray, ingredients: Sequence[str], *, usual: np.ndarray | None = None
    ) -> np.ndarray:
        """Recipes (n, m) [g/L] that obey; those that do so already are given back as they are (a copy).

        usual: (m,) [g/L] what an ingredient that is required without an amount, and absent, is set to: the median of
        real media that hold it. Raises ValueError where it is needed and not given, and as `checked` does.
        """
        own = self.checked(ingredients)
        x = np.array(x, dtype=float)
        if x.ndim != 2 or x.shape[1] != len(ingredients):
            msg = f"recipes: expected a table of {len(ingredients)} ingredients a row, got shape {x.shape}"
            raise ValueError(msg)
        place = {name: j for j, name in reversed(list(enumerate(ingredients)))}
        x[:, own.forbidden(ingredients)] = 0.0
        for name, amount in own.require.items():
            j = place[name]
            if amount is not None:
                x[:, j] = amount
            elif (absent := ~(x[:, j] > 0)).any():
                x[absent, j] = _usual(name, j, usual)
        for name, amount in own.cap.items():
            x[:, place[name]] = np.minimum(x[:, place[name]], amount)
        return x

    def _forbids(self, name: str) -> str | None:
        """Why an ingredient may not be in a recipe; None where it may."""
        if name in self.exclude:
            return "excluded"
        if self.defined and is_complex(name):
            return "of unknown composition, and the medium is to be a defined one"
        if self.ph is not None and self.ph < ACID and re.search(_CARBONATE, folded(name)):
            return f"a carbonate, which leaves as CO2 at pH {self.ph:g}"
        return None

    def _refuse_contradiction(self, name: str, amount: float | None) -> None:
        """Refuse a required ingredient that may not be there, or not in this amount."""
        if (why := self._forbids(name)) is not None:
            msg = f"require {name!r}: it is {why}"
            raise ValueError(msg)
        cap = self.cap.get(name, math.inf)
        if cap == 0 or (amount is not None and amount > cap):
            given = "some" if amount is None else f"{amount:g} g/L"
            msg = f"require {name!r}: {given} is more than its cap of {cap:g} g/L"
            raise ValueError(msg)


def buffers(ingredients: Sequence[str], ph: float) -> np.ndarray:
    """Which ingredients keep a pH, (m,) bool: those with a pKa within 1 of it (Henderson and Hasselbalch)."""
    return np.array(
        [
            any(
                abs(ph - pka) <= 1.0
                for words, pkas in _BUFFERS
                if re.search(words, folded(name))
                for pka in pkas
            )
            for name in ingredients
        ],
        dtype=bool,
    )


def _usual(name: str, j: int, usual: np.ndarray | None) -> float:
    """The usual amount of an ingredient; ValueError where none is known."""
    amount = 0.0 if usual is None else float(np.asarray(usual)[j])
    if not (math.isfinite(amount) and amount > 0):
        msg = f"require {name!r}: no usual amount is known; say how many g/L, {name}=1.0 for instance"
        raise ValueError(msg)
    return amount
