"""Units a table may name: oxygen, concentration, time; spellings to one canonical name, factors between them.

Oxygen is never converted when read (results come back in the input's unit); names are compared so that two
units are not mixed unseen. Canonical: %air (percent of air saturation), %O2 (percent of the gas), fraction,
mmHg, kPa, hPa, mg/L, umol/L.
"""

from __future__ import annotations

from o2diffusion.tables import DataError, nearest

OXYGEN = {
    "%air": ("%air", "% air", "%airsat", "% air saturation", "%a.s.", "% a.s.", "air saturation", "%sat"),
    "%O2": ("%o2", "% o2", "percent o2", "o2%", "o2 %", "vol%", "vol %"),
    "fraction": ("fraction", "fraction o2", "1"),
    "mmHg": ("mmhg", "torr", "mm hg"),
    "kPa": ("kpa",),
    "hPa": ("hpa", "mbar"),
    "mg/L": ("mg/l", "mg l-1", "mg.l-1", "mgo2/l", "ppm"),
    "umol/L": ("umol/l", "umol l-1", "um", "micromolar", "mmol/m3"),
}
CONCENTRATION = {"M": 1e6, "mM": 1e3, "uM": 1.0, "nM": 1e-3, "pM": 1e-6}  # -> uM
TIME = {"s": 1 / 3600, "min": 1 / 60, "h": 1.0, "d": 24.0}  # -> h
_TIME_WORDS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "min": ("min", "mins", "minute", "minutes", "m"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
}
_CONCENTRATION_WORDS = {
    "M": ("M", "mol/L"),
    "mM": ("mM", "mmol/L"),
    "uM": ("uM", "um", "umol/L", "micromolar"),
    "nM": ("nM", "nm", "nmol/L"),
    "pM": ("pM", "pm", "pmol/L"),
}
_OXYGEN_NAMES = {word: unit for unit, words in OXYGEN.items() for word in words}
_TIME_NAMES = {word: unit for unit, words in _TIME_WORDS.items() for word in words}
_CONCENTRATION_NAMES = {word: unit for unit, words in _CONCENTRATION_WORDS.items() for word in words}


def _plain(text: str) -> str:
    """Trimmed, both micro signs as u, minus signs and dots of a product plain."""
    return " ".join(text.replace("µ", "u").replace("μ", "u").replace("⁻¹", "-1").replace("₂", "2").split())


def oxygen_unit(text: str) -> str | None:
    """The canonical name of an oxygen unit, or None for one that is not known here (it is kept as it is)."""
    return _OXYGEN_NAMES.get(_plain(text).casefold())


def to_um(unit: str) -> float:
    """The factor from a concentration unit to uM; `DataError` for any other. Case tells mM from MM."""
    plain = _plain(unit)
    if plain not in _CONCENTRATION_NAMES:
        known, hint = ", ".join(CONCENTRATION), nearest(plain, CONCENTRATION)
        msg = f"expected a concentration unit among {known}, got {unit!r}{hint}"
        raise DataError(msg)
    return CONCENTRATION[_CONCENTRATION_NAMES[plain]]


def to_hours(unit: str) -> float:
    """The factor from a time unit to h; `DataError` for any other."""
    plain = _plain(unit).casefold()
    if plain not in _TIME_NAMES:
        msg = f"expected a time unit among {', '.join(TIME)}, got {unit!r}"
        raise DataError(msg)
    return TIME[_TIME_NAMES[plain]]
