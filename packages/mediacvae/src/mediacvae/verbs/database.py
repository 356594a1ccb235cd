"""`db`: making, filling and looking at the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediacvae.verbs import common

if TYPE_CHECKING:
    from mediacvae.db.writing import Outcome

Replace = Annotated[
    bool,
    typer.Option("--replace", help="Let a growth record take the place of the opposite by the same source."),
]


def init(*, db: common.Db = common.DATABASE) -> None:
    """Make the tables; what is there already stays."""
    from mediacvae.db.engines import shown
    from mediacvae.db.migrating import upgrade

    before, after = upgrade(db)
    state = {None: "made", after: "there already"}.get(before, f"brought from version {before}")
    typer.echo(f"{shown(db)}: schema version {after}, {state}")


def upgrade(*, db: common.Db = common.DATABASE) -> None:
    """Bring the tables of an older version to this one; what is stored is kept."""
    from mediacvae.db.engines import shown
    from mediacvae.db.migrating import upgrade as bring
    from mediacvae.db.session import refuse_absent

    refuse_absent(db)
    before, after = bring(db)
    typer.echo(f"{shown(db)}: schema version {after}, was {before or 'empty'}")


def import_(
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR|F.csv|F.json|mediadive",
            help="Folder of .parquet tables or of MediaDive's .json, a table of own media, or MediaDive itself.",
        ),
    ],
    db: common.Db = common.DATABASE,
    cache: Annotated[
        Path,
        typer.Option(
            "--cache", metavar="DIR", help="For mediadive: answers are kept here, and not asked twice."
        ),
    ] = Path("mediadive"),
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="For mediadive: another server.")
    ] = None,
    replace: Replace = False,
) -> None:
    """Media, recipes, growth and taxa into the database; importing twice changes nothing."""
    path = Path(source)
    if source == "mediadive" and not path.suffix:
        _tell(_from_mediadive(db, cache, base_url, replace=replace))
    elif path.suffix in (".csv", ".tsv"):
        from mediacvae.db.own_media import import_recipes

        _tell(import_recipes(_there(path), db))
    elif path.suffix == ".json" or (path.is_dir() and _holds_json(path)):
        from mediacvae.db.mediadive_files import import_answers

        _tell(import_answers(_there(path), db, replace=replace))
    else:
        from mediacvae.db.importing import import_folder

        _tell(import_folder(_there(path), db, replace=replace))


def _from_mediadive(db: str, cache: Path, base_url: str | None, *, replace: bool) -> Outcome:
    """Ask the server for what the cache does not hold, then store it all."""
    from mediacvae.db.client import BASE_URL, Client, mirror
    from mediacvae.db.mediadive_files import import_answers

    client = Client(cache, base_url or BASE_URL)
    count = mirror(client, common.ticker("media"))
    common.say(f"note: {count} media, {client.asked} requests; answers are kept in {cache}")
    return import_answers(cache, db, replace=replace)


def _holds_json(folder: Path) -> bool:
    """Whether a folder holds MediaDive's answers and no tables."""
    return not any(folder.glob("*.parquet")) and any(folder.rglob("*.json"))


def _there(path: Path) -> Path:
    if not path.exists():
        msg = f"{path}: expected a folder or a file, there is none"
        raise ValueError(msg)
    return path


def add_genomes(
    *,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="FASTA files: .fna, .fa, .fasta, each plain or .gz.")
    ],
    table: Annotated[
        Path | None,
        typer.Option(
            "--table", metavar="F.tsv", help="genome_id, organism_type, species, genus, lineage, taxid."
        ),
    ] = None,
    organism: Annotated[
        str | None,
        typer.Option(
            "--organism", metavar="TYPE", help="bacteria, archaea, fungi, protist or virus, without a table."
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="End well though genomes were refused.")
    ] = False,
    db: common.Db = common.DATABASE,
) -> None:
    """Genomes with GC, length and a hash; a file's name without suffixes is the id."""
    from mediacvae.db.genomes import add_genomes as add

    done = add(folder, db, table=table, organism=organism, on_step=common.ticker("genomes"))
    _tell(done)
    for line in done.refused:
        common.say(f"refused: {line}")
    if done.refused and not skip_bad:
        kept = done.written[-1].given
        msg = f"{len(done.refused)} of {len(done.refused) + kept} genomes were refused, {kept} are stored (--skip-bad)"
        raise ValueError(msg)


def add_growth(
    *,
    file: Annotated[
        Path,
        typer.Argument(metavar="F.csv", help="genome_id, medium_id, growth[, confidence, source, max_od]."),
    ],
    replace: Replace = False,
    db: common.Db = common.DATABASE,
) -> None:
    """One's own observations of growth, all rows or none."""
    from mediacvae.db.organisms import add_growth as add

    _tell(add(file, db, replace=replace))


def info(*, db: common.Db = common.DATABASE, as_json: common.Json = False) -> None:
    """What is in the database."""
    from mediacvae.db.reading import info as count

    found = count(db)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(f"{found['database']}: schema version {found['schema']}")
    rows = found["rows"]
    typer.echo(
        f"media: {rows['media']}, {rows['media_ingredients']} lines of recipes, {rows['ingredients']} ingredients"
    )
    typer.echo(
        f"  amounts guessed by the source: {found['amounts_guessed']}, not known: {found['amounts_unknown']}"
    )
    typer.echo(f"taxa: {rows['taxa']} genera")
    typer.echo(f"genomes: {rows['genomes']}, {found['genomes_with_sequence']} with a sequence")
    for kind, one in found["types"].items():
        grown = f"grew {one['growth']}, did not {one['no_growth']}"
        typer.echo(f"  {kind}: {one['genomes']} ({one['with_sequence']} with a sequence), {grown}")
    for method, one in found["embeddings"].items():
        typer.echo(f"embeddings {method}: {one['genomes']} genomes, {one['dimension']} numbers")


def _tell(done: Outcome) -> None:
    common.say_all(done.notes)
    for part in done.written:
        typer.echo(str(part))


VERBS = {
    "init": init,
    "import": import_,
    "add-genomes": add_genomes,
    "add-growth": add_growth,
    "info": info,
    "upgrade": upgrade,
}
