"""Amounts in recipes as grams per litre: units as people write them, molar masses from formulas.

Nothing is guessed: an amount in mol needs a molar mass, an amount by volume needs a density and is refused. Atomic
weights: IUPAC, abridged standard values of 2021 [g/mol].
"""

from __future__ import annotations

import math
import re

ATOMS = {
    "H": 1.008, "Li": 6.94, "B": 10.81, "C": 12.011, "N": 14.007, "O": 15.999, "F": 18.998, "Na": 22.990,
    "Mg": 24.305, "Al": 26.982, "Si": 28.085, "P": 30.974, "S": 32.06, "Cl": 35.45, "K": 39.098, "Ca": 40.078,
    "Ti": 47.867, "V": 50.942, "Cr": 51.996, "Mn": 54.938, "Fe": 55.845, "Co": 58.933, "Ni": 58.693, "Cu": 63.546,
    "Zn": 65.38, "Ge": 72.630, "As": 74.922, "Se": 78.971, "Br": 79.904, "Rb": 85.468, "Sr": 87.62, "Mo": 95.95,
    "Ag": 107.87, "Cd": 112.41, "Sn": 118.71, "I": 126.90, "Cs": 132.91, "Ba": 137.33, "La": 138.91, "Ce": 140.12,
    "W": 183.84, "Hg": 200.59, "Pb": 207.2,
}  # fmt: skip

FORMULAS = {
    # salts, acids and bases without a digit in their formula: a word such as BHI is no formula
    "nacl": "NaCl", "kcl": "KCl", "licl": "LiCl", "nabr": "NaBr", "kbr": "KBr", "naf": "NaF", "ki": "KI", "nai": "NaI",
    "naoh": "NaOH", "koh": "KOH", "hcl": "HCl", "sodium chloride": "NaCl", "potassium chloride": "KCl",
    "ammonium chloride": "NH4Cl", "ammonium sulfate": "(NH4)2SO4", "sodium hydroxide": "NaOH",
    "sodium bicarbonate": "NaHCO3", "sodium carbonate": "Na2CO3", "sodium nitrate": "NaNO3",
    "potassium nitrate": "KNO3", "sodium sulfate": "Na2SO4", "sodium sulfite": "Na2SO3",
    "sodium thiosulfate": "Na2S2O3",
    "magnesium sulfate heptahydrate": "MgSO4 x 7 H2O", "calcium chloride dihydrate": "CaCl2 x 2 H2O",
    "magnesium chloride hexahydrate": "MgCl2 x 6 H2O", "ammonium nitrate": "NH4NO3",
    # carbon sources
    "glucose": "C6H12O6", "d-glucose": "C6H12O6", "dextrose": "C6H12O6", "fructose": "C6H12O6", "galactose": "C6H12O6",
    "mannose": "C6H12O6", "xylose": "C5H10O5", "arabinose": "C5H10O5", "ribose": "C5H10O5", "sucrose": "C12H22O11",
    "trehalose": "C12H22O11", "cellobiose": "C12H22O11", "mannitol": "C6H14O6", "glycerol": "C3H8O3",
    "methanol": "CH4O", "ethanol": "C2H6O", "urea": "CH4N2O", "acetic acid": "C2H4O2", "sodium acetate": "C2H3NaO2",
    "na-acetate": "C2H3NaO2", "sodium formate": "CHNaO2", "na-formate": "CHNaO2", "sodium lactate": "C3H5NaO3",
    "na-lactate": "C3H5NaO3", "sodium pyruvate": "C3H3NaO3", "na-pyruvate": "C3H3NaO3", "sodium benzoate": "C7H5NaO2",
    "disodium succinate": "C4H4Na2O4", "na2-succinate": "C4H4Na2O4", "disodium fumarate": "C4H2Na2O4",
    "trisodium citrate": "C6H5Na3O7", "citric acid": "C6H8O7", "sodium propionate": "C3H5NaO2",
    # buffers, chelators, reducers
    "tris": "C4H11NO3", "hepes": "C8H18N2O4S", "mes": "C6H13NO4S", "mops": "C7H15NO4S", "pipes": "C8H18N2O6S2",
    "edta": "C10H16N2O8", "na2-edta x 2 h2o": "C10H14N2Na2O8 x 2 H2O", "nitrilotriacetic acid": "C6H9NO6",
    "l-cysteine": "C3H7NO2S", "cysteine": "C3H7NO2S", "l-cysteine hcl": "C3H8ClNO2S",
    "l-cysteine hcl x h2o": "C3H8ClNO2S x H2O", "sodium thioglycolate": "C2H3NaO2S", "dithiothreitol": "C4H10O2S2",
    # amino acids
    "glycine": "C2H5NO2", "l-alanine": "C3H7NO2", "l-arginine": "C6H14N4O2", "l-asparagine": "C4H8N2O3",
    "l-aspartic acid": "C4H7NO4", "l-glutamic acid": "C5H9NO4", "l-glutamine": "C5H10N2O3", "l-histidine": "C6H9N3O2",
    "l-isoleucine": "C6H13NO2", "l-leucine": "C6H13NO2", "l-lysine": "C6H14N2O2", "l-methionine": "C5H11NO2S",
    "l-phenylalanine": "C9H11NO2", "l-proline": "C5H9NO2", "l-serine": "C3H7NO3", "l-threonine": "C4H9NO3",
    "l-tryptophan": "C11H12N2O2", "l-tyrosine": "C9H11NO3", "l-valine": "C5H11NO2",
    # vitamins
    "biotin": "C10H16N2O3S", "folic acid": "C19H19N7O6", "nicotinic acid": "C6H5NO2", "nicotinamide": "C6H6N2O",
    "p-aminobenzoic acid": "C7H7NO2", "riboflavin": "C17H20N4O6", "thiamine hcl": "C12H18Cl2N4OS",
    "pyridoxine hcl": "C8H12ClNO3", "lipoic acid": "C8H14O2S2", "ca-d(+)-pantothenate": "C18H32CaN2O10",
    "calcium pantothenate": "C18H32CaN2O10", "vitamin b12": "C63H88CoN14O14P", "cyanocobalamin": "C63H88CoN14O14P",
}  # fmt: skip

_MASS = {"g/l": 1.0, "mg/l": 1e-3, "ug/l": 1e-6, "% w/v": 10.0}  # to g/L
_MOLAR = {"M": 1.0, "mM": 1e-3, "uM": 1e-6, "nM": 1e-9}  # to mol/L
UNITS = ("g/L", "mg/L", "ug/L", "% w/v", "M", "mM", "uM", "nM")
_SPELT = {
    "g_per_l": "g/l", "g l-1": "g/l", "mg/ml": "g/l", "mg_per_ml": "g/l", "gram/l": "g/l", "g/liter": "g/l",
    "mg_per_l": "mg/l", "mg l-1": "mg/l", "ug/ml": "mg/l", "ug_per_l": "ug/l", "microg_per_l": "ug/l",
    "%": "% w/v", "% (w/v)": "% w/v", "%w/v": "% w/v", "%(w/v)": "% w/v", "percent_w_v": "% w/v", "g/100ml": "% w/v",
    "mol/l": "M", "molar": "M", "mmol/l": "mM", "millimolar": "mM", "umol/l": "uM", "micromolar": "uM",
    "nmol/l": "nM", "nanomolar": "nM",
}  # fmt: skip

_HYDRATE = re.compile(r"\s*[·•・*]\s*|\s+[x×.]\s+|(?<=[A-Za-z0-9)])\.(?=\d*\s*H2O)")
_PIECE = re.compile(r"([A-Z][a-z]?)(\d*)|(\()|(\))(\d*)")
_MANY = 10_000  # atoms of one kind in a formula


class UnitError(ValueError):
    """An amount that cannot be brought to g/L."""


def unit(text: str) -> str:
    """A unit by its one name here: g/l, mg/l, ug/l, % w/v, M, mM, uM or nM. UnitError for another.

    A bare `%` is weight by volume, as on media labels; `% v/v` needs a density and is refused.
    """
    word = " ".join(str(text).replace("µ", "u").replace("μ", "u").split())
    if word in _MOLAR:
        return word
    low = word.lower()
    low = _SPELT.get(low, low)
    if low in _MASS or low in _MOLAR:
        return low
    hint = (
        "; volumes need a density: give the mass" if low in ("ml/l", "ml", "% v/v", "%v/v", "% (v/v)") else ""
    )
    msg = f"unit: expected one of {', '.join(UNITS)}, got {text!r}{hint}"
    raise UnitError(msg)


def to_g_per_l(amount: float, of: str, molar_mass: float | None = None) -> float:
    """An amount in g/L; `of` is its unit, `molar_mass` [g/mol] is needed for M, mM, uM and nM.

    Raises UnitError: negative, NaN or infinite amounts, unknown units, a molar mass that is missing or not above 0.
    """
    if not (math.isfinite(amount) and amount >= 0):
        msg = f"amount: expected a number from 0 up, got {amount!r}"
        raise UnitError(msg)
    name = unit(of)
    if name in _MASS:
        return amount * _MASS[name]
    if molar_mass is None:
        msg = f"amount in {name}: expected a molar mass [g/mol] to go with it, none is known"
        raise UnitError(msg)
    if not (math.isfinite(molar_mass) and molar_mass > 0):
        msg = f"molar mass: expected a number above 0 [g/mol], got {molar_mass!r}"
        raise UnitError(msg)
    return amount * _MOLAR[name] * molar_mass


def is_molar(of: str) -> bool:
    """Whether a unit counts molecules; UnitError for one that is not known."""
    return unit(of) in _MOLAR


def molar_mass(name: str) -> float | None:
    """The molar mass [g/mol] of a compound by its common name or formula (`CaCl2 x 2 H2O`); None where unknown."""
    word = " ".join(str(name).split())
    formula = FORMULAS.get(word.lower())
    if formula is None and not re.search(r"\d", word):
        return None  # an abbreviation: BHI is no boron, hydrogen and iodine
    try:
        return formula_mass(formula or word)
    except UnitError:
        return None


def formula_mass(formula: str) -> float:
    """The molar mass [g/mol] of a formula with brackets and water of crystallisation. UnitError where it is none."""
    total, elements = 0.0, set[str]()
    for part in _HYDRATE.split(formula.strip()):
        found = re.fullmatch(r"(\d{0,3})\s*(\S+)", part)
        if found is None:
            raise UnitError(_no_formula(formula))
        total += int(found[1] or 1) * _part_mass(found[2], formula, elements)
    if len(elements) < 2:
        raise UnitError(_no_formula(formula))
    return total


def _part_mass(part: str, formula: str, elements: set[str]) -> float:
    """The mass of a formula without water; adds what it is made of to `elements`."""
    stack, at = [0.0], 0
    while at < len(part):
        found = _PIECE.match(part, at)
        if found is None or len(found[2] or found[5] or "") > 4:
            raise UnitError(_no_formula(formula))
        at = found.end()
        if found[1]:
            if found[1] not in ATOMS:
                raise UnitError(_no_formula(formula))
            elements.add(found[1])
            stack[-1] += ATOMS[found[1]] * _count(found[2], formula)
        elif found[3]:
            stack.append(0.0)
        elif len(stack) > 1:
            inner = stack.pop()
            stack[-1] += inner * _count(found[5], formula)
        else:
            raise UnitError(_no_formula(formula))
    if len(stack) != 1:
        raise UnitError(_no_formula(formula))
    return stack[0]


def _count(digits: str, formula: str) -> int:
    count = int(digits or 1)
    if not 0 < count < _MANY:
        raise UnitError(_no_formula(formula))
    return count


def _no_formula(formula: str) -> str:
    return f"formula: expected one such as CaCl2 x 2 H2O, got {formula!r}"
