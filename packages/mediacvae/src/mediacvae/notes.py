"""What is said of an organism before its media: what is not known, what is guessed, what nobody like it was seen of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mediacvae.conditions import LINEAGE, NAMES, lineage_words, parted
from mediacvae.names import ORGANISM_TYPES, closest, folded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediacvae.asking import Asked
    from mediacvae.conditions import Conditioner, Organism
    from mediacvae.growth import GrowthModel
    from mediacvae.predictor import MediaModel

FAR = 0.1  # likeness below which a relative says little
TOLD_WORDS = 4  # of a lineage
# Share of the genomes like it that its domain must have, to be believed: of 35 genomes of known lineage the 24 above
# it were put in the right domain, two of the 11 below it in the wrong one.
SURE = 0.8
# Likeness to an organism with results, below which odds of growth are those of strangers: that of archaea to the gut
# bacteria whose results are the public ones is 0.33 at most, that of half of the bacteria 0.47 and more.
TRIED = 0.35
SPELT = 0.9  # likeness from which a word of a lineage is taken for a slip of the pen


def unknown(organism: Organism, conditioner: Conditioner) -> list[str]:
    """What a model asks for and is not known of an organism, one line a reason; none where all is known."""
    missing = [block.name for block in conditioner.blocks if not np.isfinite(block.of(organism)).any()]
    notes = [f"{', '.join(missing)} not given: less certain"] if missing else []
    for block in conditioner.blocks:
        words = lineage_words(organism)
        if block.name == LINEAGE and words and not words & set(block.features):
            notes.append(f"lineage: the model knows none of {', '.join(sorted(words))}")
    return notes


def guessed(model: MediaModel, organism: Organism, condition: np.ndarray) -> list[tuple[str, float]]:
    """The lineage that a model takes from genomes: names and their shares, the surest first; none where it was given.

    condition: (1, d), the organism's.
    """
    own = model.conditioner.columns.get(LINEAGE)
    if own is None or lineage_words(organism) or not np.isfinite(condition[0, own]).all():
        return []
    words = next(block.features for block in model.conditioner.blocks if block.name == LINEAGE)
    order = np.argsort(-condition[0, own], kind="stable")
    named = [(words[at], float(condition[0, own][at])) for at in order if words[at] not in ORGANISM_TYPES]
    return named[:TOLD_WORDS]


def shares(guess: Sequence[tuple[str, float]]) -> str:
    """A guess in words: `Archaea 54 %, Bacteria 46 %`."""
    return ", ".join(f"{word} {100 * share:.0f} %" for word, share in guess)


def placed(model: MediaModel, organism: Organism, condition: np.ndarray) -> list[str]:
    """Where a model puts an organism: the lineage that it takes from genomes, and that nobody is near, a line each.

    condition: (1, d), the organism's.
    """
    notes = []
    guess = guessed(model, organism, condition)
    if guess and guess[0][1] < SURE:
        notes.append(
            f"LINEAGE IS A GUESS: the genomes most like it do not agree ({shares(guess)}), its media may be of the "
            "wrong domain; give --lineage, --organism, or --id of a genome that the database knows"
        )
    elif guess:
        notes.append(f"lineage: taken from the genomes most like it ({shares(guess)})")
    (name, like), *_ = model.relatives(condition, 1)
    if like < FAR:
        notes.append(
            f"nobody much like it was learned from (nearest: {name}, likeness {like:.2f}): expect little"
        )
    return notes


def ground(growth: GrowthModel, condition: np.ndarray) -> tuple[str, bool]:
    """What odds of growth rest on for a condition (1, d), in words, and whether somebody like it was tried."""
    like = growth.kernel.cosine(condition, growth.who.conditions)[0]
    at = int(np.argmax(like))
    name = growth.who.species[at] or growth.who.genus[at] or growth.who.ids[at]
    count = f"{len(growth.grew)} results of {len(growth.who.ids)} organisms"
    what = f"{count}, the nearest {name} (likeness {like[at]:.2f})"
    return what, bool(like[at] >= TRIED)


def resting(model: MediaModel, condition: np.ndarray) -> list[str]:
    """What odds of growth rest on for a condition (1, d), in a line; none for a model without odds."""
    if model.growth is None:
        return []
    what, near = ground(model.growth, condition)
    if near:
        return [f"odds of growth rest on {what}"]
    return [f"ODDS OF GROWTH ARE OF STRANGERS: they rest on {what}; nobody like it was tried, expect little"]


def unread(asked: Asked, conditioner: Conditioner) -> list[str]:
    """What was given by hand and a model was not taught to read, one line each."""
    read = {block.name for block in conditioner.blocks}
    given = {
        "--name": (asked.name, {NAMES}, "names"),
        "--lineage": (asked.lineage, {LINEAGE}, "lineage"),
        "--organism": (asked.organism_type, {LINEAGE}, "lineage"),
        "--genome": (asked.genome, read - {LINEAGE, NAMES}, "genome features"),
    }
    notes = [
        f"{option}: recipes and ranks do not depend on it, the model was trained without {what}"
        for option, (value, blocks, what) in given.items()
        if value and not blocks & read
    ]
    for block in conditioner.blocks:
        strange = [word for word in parted(asked.lineage or "") if word not in block.features]
        if block.name == LINEAGE and strange:
            names = [word for word in block.features if word not in ORGANISM_TYPES]
            close = [closest(word, names, least=SPELT, as_read=folded) for word in strange]
            told = [
                f"{word} (did you mean {meant}?)" if meant else word
                for word, meant in zip(strange, close, strict=True)
            ]
            notes.append(f"--lineage: the model does not know, and leaves out: {', '.join(told)}")
    return notes
