"""What simulated organisms need, media made of parts for such needs, and on which of them they grow.

Logic only: an organism grows where each of its needs is met, each by a threshold. Amounts are log-normal around those
of common recipes. Nothing of the model is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

CARBON = {"glucose": "Glucose", "lactose": "Lactose", "cellobiose": "Cellobiose", "acetate": "Na-acetate"}
VITAMINS = {
    "Biotin": 2e-5,
    "Vitamin B12": 5e-5,
    "Thiamine HCl": 1e-4,
    "Nicotinic acid": 2e-4,
    "p-Aminobenzoic acid": 8e-5,
    "Calcium pantothenate": 1e-4,
}
REDUCED = {"L-Cysteine HCl x H2O": 0.5, "Na2S x 9 H2O": 0.4, "sodium resazurin": 5e-4}
TRACE = {
    "FeSO4 x 7 H2O": 5e-3,
    "ZnSO4 x 7 H2O": 1e-3,
    "MnCl2 x 4 H2O": 3e-4,
    "H3BO3": 1e-4,
    "CoCl2 x 6 H2O": 2e-4,
    "CuCl2 x 2 H2O": 2e-5,
    "NiCl2 x 6 H2O": 2e-4,
    "Na2MoO4 x 2 H2O": 1e-4,
}
SALTS = {"KH2PO4": 0.5, "MgSO4 x 7 H2O": 0.8, "CaCl2 x 2 H2O": 0.15, "NH4Cl": 0.6, "KCl": 0.4}
COMPLEX = {"yeast extract": 1.0, "peptone": 4.0, "tryptone": 3.0, "casein peptone": 5.0, "meat extract": 2.0}
OWN_FOOD = {"fungi": {"malt extract": 10.0}, "protist": {"proteose peptone": 8.0}}
BUFFERS = {
    "acid": {"Citric acid": 2.0},
    "neutral": {"K2HPO4": 1.0, "HEPES": 2.4},
    "alkaline": {"Na2CO3": 6.0, "NaHCO3": 8.0},
}
PH = {"acid": 4.6, "neutral": 7.1, "alkaline": 9.6}
PH_SUITS = {"acid": (0.0, 5.8), "neutral": (6.2, 8.2), "alkaline": (8.6, 14.0)}
NACL = {"low": 1.5, "sea": 35.0, "high": 120.0}  # [g/L]
NACL_SUITS = {"low": (0.0, 50.0), "sea": (15.0, 75.0), "high": (70.0, 350.0)}  # [g/L]
SPREAD = 0.25  # sd of the log of an amount


@dataclass(frozen=True)
class Rule:
    """What an organism with a marker, or of a type, has more (+1) or less (-1) of in its media than others."""

    name: str
    marker: str | None  # that turns the rule on, or None
    organism_type: str | None  # likewise
    moves: tuple[tuple[str, int], ...]  # ingredient, direction
    ph: int = 0  # direction in which the pH moves


RULES = (
    Rule("salt", "halophile", None, (("NaCl", 1), ("MgCl2 x 6 H2O", 1))),
    Rule("acid", "acidophile", None, (("Citric acid", 1),), -1),
    Rule("alkaline", "alkaliphile", None, (("Na2CO3", 1),), 1),
    *(Rule(name, f"{name}_user", None, ((ingredient, 1),)) for name, ingredient in CARBON.items()),
    Rule("vitamins", "auxotroph", None, tuple((name, 1) for name in VITAMINS)),
    Rule("reduced_sulfur", "anaerobe", None, tuple((name, 1) for name in REDUCED)),
    Rule("heat", "thermophile", None, (("Agar", -1),)),
    Rule("archaea", None, "archaea", (("NaCl", 1),)),
    Rule("fungi", None, "fungi", (("malt extract", 1), ("Citric acid", 1)), -1),
    Rule("protist", None, "protist", (("proteose peptone", 1),)),
)
MARKERS = tuple(rule.marker for rule in RULES if rule.marker is not None)


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What an organism asks of a medium."""

    organism_type: str
    salt: str = "low"  # low, sea, high
    ph: str = "neutral"  # acid, neutral, alkaline
    carbon: str = "glucose"  # a key of CARBON
    vitamins: bool = False  # cannot make them
    anaerobic: bool = False  # needs reduced sulfur; without this, it is killed by sulfide
    hot: bool = False  # grows where agar melts

    @classmethod
    def of(cls, organism_type: str, carried: set[str]) -> Needs:
        """The needs of an organism of a type that carries some markers (names in MARKERS)."""
        salt = "high" if "halophile" in carried else "sea" if organism_type == "archaea" else "low"
        acid = "acidophile" in carried or organism_type == "fungi"
        return cls(
            organism_type=organism_type,
            salt=salt,
            ph="acid" if acid else "alkaline" if "alkaliphile" in carried else "neutral",
            carbon=next(name for name in CARBON if f"{name}_user" in carried),
            vitamins="auxotroph" in carried,
            anaerobic="anaerobe" in carried,
            hot="thermophile" in carried,
        )


@dataclass(frozen=True)
class Medium:
    """A recipe and its pH."""

    amounts: Mapping[str, float]  # [g/L] by ingredient
    ph: float
    made_for: str  # organism type
    genus: str | None  # that stands in its name, where it was made for one

    @property
    def solid(self) -> bool:
        """Whether it holds agar."""
        return "Agar" in self.amounts

    @property
    def defined(self) -> bool:
        """Whether it holds nothing of unknown composition."""
        unknown = {**COMPLEX, **OWN_FOOD["fungi"], **OWN_FOOD["protist"]}
        return not unknown.keys() & self.amounts.keys()


def suits(needs: Needs, medium: Medium) -> bool:
    """Whether an organism grows on a medium: every need is met, and nothing in it kills."""
    amount = medium.amounts
    low, high = NACL_SUITS[needs.salt]
    least, most = PH_SUITS[needs.ph]
    return (
        low <= amount.get("NaCl", 0.0) <= high
        and least <= medium.ph <= most
        and amount.get(CARBON[needs.carbon], 0.0) >= 0.5
        and (not needs.vitamins or len(VITAMINS.keys() & amount.keys()) >= 4)
        and _breathes(needs, amount)
        and not (needs.hot and medium.solid)
        and all(amount.get(name, 0.0) >= 2.0 for name in OWN_FOOD.get(needs.organism_type, {}))
    )


def medium_for(needs: Needs, genus: str | None, rng: np.random.Generator) -> Medium:
    """A medium that someone made for such needs; it may hold more than is needed."""
    parts: dict[str, float] = {"NaCl": NACL[needs.salt]}
    parts |= {name: g for name, g in SALTS.items() if rng.random() < 0.8}
    if needs.salt == "high" or (needs.salt == "sea" and rng.random() < 0.6):
        parts["MgCl2 x 6 H2O"] = 20.0 if needs.salt == "high" else 4.0
    buffers = list(BUFFERS[needs.ph].items())
    parts |= dict([buffers[0], *(one for one in buffers[1:] if rng.random() < 0.3)])
    parts[CARBON[needs.carbon]] = 4.0
    if rng.random() < 0.15:
        parts[str(rng.choice(list(CARBON.values())))] = 4.0
    if rng.random() < 0.7:
        parts |= {name: g for name, g in COMPLEX.items() if rng.random() < 0.45}
    if rng.random() < 0.7:
        parts |= TRACE
    if needs.vitamins or rng.random() < 0.15:
        parts |= VITAMINS
    if needs.anaerobic:
        parts |= REDUCED
    parts |= OWN_FOOD.get(needs.organism_type, {})
    if not needs.hot and rng.random() < 0.45:
        parts["Agar"] = 15.0
    amounts = {name: _rounded(g * float(rng.lognormal(0.0, SPREAD))) for name, g in parts.items()}
    ph = float(np.round(PH[needs.ph] + rng.uniform(-0.5, 0.5), 1))
    return Medium(amounts, ph, needs.organism_type, genus)


def any_needs(organism_type: str, rng: np.random.Generator) -> Needs:
    """Needs that nobody has to have."""
    simple = organism_type in OWN_FOOD
    made = Needs(
        organism_type=organism_type,
        salt=str(rng.choice(list(NACL))),
        ph=str(rng.choice(list(PH))),
        carbon=str(rng.choice(list(CARBON))),
        vitamins=bool(rng.random() < 0.4),
        anaerobic=bool(rng.random() < 0.4),
        hot=bool(rng.random() < 0.4),
    )
    return replace(made, anaerobic=False, hot=False) if simple else made


def _breathes(needs: Needs, amount: Mapping[str, float]) -> bool:
    """Whether there is enough reduced sulfur for an anaerobe, and no sulfide for another."""
    sulfide = amount.get("Na2S x 9 H2O", 0.0)
    if needs.anaerobic:
        return sulfide + amount.get("L-Cysteine HCl x H2O", 0.0) >= 0.3
    return sulfide <= 0.05


def _rounded(amount: float) -> float:
    """Three digits, as weighed."""
    return float(f"{amount:.3g}")
