"""Structures of drugs as fingerprints: what gives a drug that the model has not met an embedding of its own.

Needs RDKit, the `[chem]` extra; nothing else in the package imports it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from o2diffusion.drugs import is_known, match_drug

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BITS = 1024  # of a fingerprint, where a recipe does not say
RADIUS = 2  # bonds around each atom: the usual ECFP4
MAX_LENGTH = 5000  # of a SMILES


def fingerprints(smiles: Mapping[str, str], n_bits: int = BITS) -> dict[str, np.ndarray]:
    """Morgan fingerprints of drugs: {name: SMILES} -> {name: (n_bits,) float32 of 0 and 1}.

    Rogers & Hahn 2010, radius 2, chirality included. Raises ValueError without a bit, and one that names every drug
    whose SMILES is empty or cannot be read; ImportError where RDKit is absent.
    """
    if n_bits < 1:
        msg = f"expected at least one fingerprint bit, got {n_bits}"
        raise ValueError(msg)
    chem, generators, log = _rdkit()
    generator = generators.GetMorganGenerator(radius=RADIUS, fpSize=n_bits, includeChirality=True)
    with log.BlockLogs():  # RDKit writes its own complaint to stderr, without the drug's name
        molecules = {name: _molecule(chem, text) for name, text in smiles.items()}
    wrong = [f"{name} ({smiles[name]!r:.60})" for name, molecule in molecules.items() if molecule is None]
    if wrong:
        msg = (
            f"expected a valid SMILES for each drug, could not read {', '.join(wrong)}: correct or leave out"
        )
        raise ValueError(msg)
    return {
        name: generator.GetFingerprintAsNumPy(molecule).astype(np.float32)
        for name, molecule in molecules.items()
    }


def fingerprints_of(
    drugs: Sequence[str], smiles: Mapping[str, str], n_bits: int, *, notes: list[str]
) -> np.ndarray:
    """Fingerprints of m drugs in their order, zeros where `smiles` has none: (m, n_bits) float32.

    Names match as `match_drug` matches them; `notes` says what was not used and whose structure is not known. Raises
    ValueError and ImportError as `fingerprints` does.
    """
    rows = np.zeros((len(drugs), n_bits), dtype=np.float32)
    for name, bits in fingerprints(smiles, n_bits).items():
        if is_known(name, drugs):
            rows[match_drug(name, drugs)] = bits
        else:
            notes.append(f"smiles: {name!r} is not a drug of the table: unused")
    bare = [name for name, row in zip(drugs, rows, strict=True) if not row.any()]
    if bare:
        notes.append(f"smiles: no structure of {', '.join(bare)}: known by name only")
    return rows


def _molecule(chem: Any, text: str) -> Any | None:
    """The molecule of a SMILES; None where it is empty, too long or unreadable."""
    text = text.strip()
    molecule = chem.MolFromSmiles(text) if 0 < len(text) <= MAX_LENGTH else None
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def _rdkit() -> tuple[Any, Any, Any]:
    """RDKit's readers, fingerprint generators and log, imported when first needed."""
    try:
        return (
            import_module("rdkit.Chem"),
            import_module("rdkit.Chem.rdFingerprintGenerator"),
            import_module("rdkit.rdBase"),
        )
    except ImportError as error:
        msg = "fingerprints of drugs need RDKit: install it with `pip install 'o2diffusion[chem]'`"
        raise ImportError(msg) from error
