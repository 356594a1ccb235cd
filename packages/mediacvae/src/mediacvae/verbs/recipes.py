"""`generate` and `interpolate`: new recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediacvae.verbs import common

if TYPE_CHECKING:
    import numpy as np

    from mediacvae.conditions import Organism
    from mediacvae.offer import Offer
    from mediacvae.predictor import MediaModel


Genomes = Annotated[
    list[Path] | None,
    typer.Option(
        "--genome",
        metavar="F.fna.gz",
        help="The organism's genome as FASTA; said again: a medium for the mean of several.",
    ),
]
Ids = Annotated[
    list[str] | None,
    typer.Option("--id", metavar="GENOME_ID", help="An organism of the database --db instead."),
]
Count = Annotated[int, typer.Option("-n", min=1, max=10_000, help="Recipes.")]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="NAME", help="Without this ingredient.")
]
Require = Annotated[
    list[str] | None,
    typer.Option("--require", metavar="NAME[=G]", help="With it, at G g/L or what is usual."),
]
Cap = Annotated[list[str] | None, typer.Option("--cap", metavar="NAME=G", help="With G g/L of it at most.")]
Defined = Annotated[bool, typer.Option("--defined", help="Without extracts, peptones, serum.")]
Ph = Annotated[float | None, typer.Option("--ph", metavar="X", help="At this pH: no carbonates below 6.")]
Diversity = Annotated[
    float,
    typer.Option("--diversity", min=0.0, max=1.0, help="From 0, the likeliest, to 1, the most unlike."),
]
AnyRecipe = Annotated[bool, typer.Option("--any", help="Implausible recipes too.")]
Card = Annotated[Path | None, typer.Option("--card", metavar="F.html", help="The recipes as cards to print.")]


def generate(
    *,
    directory: common.Model,
    genome: Genomes = None,
    n: Count = 10,
    out: common.Table = None,
    exclude: Exclude = None,
    require: Require = None,
    cap: Cap = None,
    defined: Defined = False,
    ph: Ph = None,
    diversity: Diversity = 0.5,
    any_: AnyRecipe = False,
    card: Card = None,
    seed: common.Seed = None,
    genome_id: Ids = None,
    name: common.Name = None,
    lineage: common.Lineage = None,
    organism: common.Organism = None,
    vector: common.Vector = None,
    db: common.Db = common.DATABASE,
    force: common.Force = False,
) -> None:
    """New recipes in g/L for a genome: recipe, ingredient, g_per_l; the first is what its relatives agree on."""
    from cytosol.files import write_atomically
    from mediacvae import saving
    from mediacvae.constraints import Constraints
    from mediacvae.offer import Offer

    common.writable(out, ".csv", force=force)
    common.writable(card, ".html", force=force)
    wanted = Constraints(
        exclude=tuple(exclude or ()),
        require=dict(_demand(word, "--require", needed=False) for word in require or ()),
        cap={key: value or 0.0 for key, value in (_demand(word, "--cap", needed=True) for word in cap or ())},
        defined=defined,
        ph=ph,
    )
    model = saving.load(directory)
    hand = {"name": name, "lineage": lineage, "organism": organism, "vector": vector}
    organisms, condition = _all(model, genome or [], genome_id or [], db, hand)
    recipes = model.generate(
        condition, n, constraints=wanted, plausible=not any_, diversity=diversity, seed=seed
    )
    made = Offer(model, tuple(organisms), condition, recipes, ph)
    common.say_all(made.notes())
    _write(made, out)
    if card is not None:
        write_atomically(card, made.cards().encode())
        typer.echo(f"{card}: {len(recipes)} recipe cards")


def interpolate(
    *,
    directory: common.Model,
    start: Annotated[
        str, typer.Option("--from", metavar="A", help="FASTA file, or id of an organism of the model.")
    ],
    end: Annotated[str, typer.Option("--to", metavar="B", help="The same.")],
    steps: Annotated[int, typer.Option("--steps", min=2, max=1000, help="Recipes, both ends counted.")] = 5,
    out: common.Table = None,
    db: Annotated[
        str | None, typer.Option("--db", metavar="URL", help="Look for ids in this database as well.")
    ] = None,
    force: common.Force = False,
) -> None:
    """Recipes on the way from one organism to another: alpha, recipe, ingredient, g_per_l."""
    import numpy as np

    from mediacvae import asking, recipes, saving

    common.writable(out, ".csv", force=force)
    model = saving.load(directory)
    ends = [_end(model, word, db) for word in (start, end)]
    alphas = np.linspace(0.0, 1.0, steps)
    conditions = asking.blend(*ends, alphas)
    if missing := model.missing(conditions[:1]):
        common.say(f"note: {', '.join(missing)} not known of both organisms: less certain")
    made = np.concatenate([model.consensus(row[None]) for row in conditions])  # each by the same draws
    for at, why in enumerate(model.plausible.why(made)):
        if why:
            common.say(f"note: recipe {at + 1} (alpha {alphas[at]:.3g}) is not plausible: {'; '.join(why)}")
    table = recipes.to_table(made, model.ingredients)
    table.insert(0, "alpha", alphas[table["recipe"].to_numpy() - 1])
    common.put(table, out)
    if out is not None:
        typer.echo(f"{out}: {steps} recipes from {start} to {end}")


def _all(
    model: MediaModel, genomes: list[Path], ids: list[str], db: str, hand: dict[str, Any]
) -> tuple[list[Organism], np.ndarray]:
    """The organisms, and their condition (1, d): of several, the mean."""
    import numpy as np

    from mediacvae import asking

    pairs = [*((file, None) for file in genomes), *((None, one) for one in ids)] or [(None, None)]
    given = [key for key, value in hand.items() if value]
    if len(pairs) > 1 and given:
        msg = f"--{given[0]}: expected one organism that it is of, got {len(pairs)}"
        raise ValueError(msg)
    found = [common.who(model, common.asked(file, one, db, **hand)) for file, one in pairs]
    return [one for one, _ in found], asking.mean(np.concatenate([row for _, row in found]))


def _end(model: MediaModel, word: str, db: str | None) -> np.ndarray:
    """The condition (1, d) of a FASTA file, of an organism of the model, or of one of the database."""
    from mediacvae import asking
    from mediacvae.asking import Asked
    from mediacvae.names import nearest

    if Path(word).is_file():
        return model.condition(asking.organism(Asked(genome=Path(word)), model.conditioner))
    ids = model.organisms["genome_id"].astype(str).tolist()
    if word in ids:
        return model.conditions[[ids.index(word)]]
    if db is not None:
        return model.condition(asking.organism(Asked(genome_id=word, url=db), model.conditioner))
    msg = (
        f"{word}: expected a FASTA file or the id of an organism that the model learned from{nearest(word, ids)}; "
        "--db URL looks in a database as well"
    )
    raise ValueError(msg)


def _demand(word: str, option: str, *, needed: bool) -> tuple[str, float | None]:
    """Name and amount of `NAME=G`; without `=`, the name alone where an amount is not needed."""
    name, equals, amount = word.rpartition("=")
    try:
        if equals and name:
            return name, float(amount)
    except ValueError:
        pass
    if needed or equals:
        msg = f"{option}: expected {'NAME=G' if needed else 'NAME or NAME=G'} with G in g/L, got {word!r}"
        raise ValueError(msg)
    return word, None


def _write(made: Offer, out: Path | None) -> None:
    """The table, and a line a recipe where it goes to a file."""
    from mediacvae.recipes import to_table

    common.put(to_table(made.recipes, made.model.ingredients), out)
    if out is not None:
        typer.echo("\n".join(made.lines()))
        typer.echo(f"{out}: {len(made.recipes)} recipes for {made.title}")
