"""The tables, in SQLAlchemy's words: what may stand in a column is a constraint of the database too.

Units: gc_content [percent], sequence_length and genome_size [bases], amounts [g/L], molar_mass [g/mol].
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mediacvae.names import ORGANISM_TYPES

VERSION = "0002"  # the newest revision in migrations/versions

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
_TYPES = ", ".join(f"'{word}'" for word in ORGANISM_TYPES)


class Base(DeclarativeBase):
    """Every table of this package."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {float: Double()}


class Genome(Base):
    """An organism, with a sequence or (from growth tables) without one."""

    __tablename__ = "genomes"
    __table_args__ = (
        CheckConstraint(f"organism_type IN ({_TYPES})", name="organism_type"),
        CheckConstraint("gc_content >= 0 AND gc_content <= 100", name="gc_content"),
        CheckConstraint("sequence_length > 0", name="sequence_length"),
        Index(None, "genus"),
    )

    genome_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    organism_name: Mapped[str] = mapped_column(Text)
    organism_type: Mapped[str] = mapped_column(String(16))
    genus: Mapped[str] = mapped_column(Text, server_default="")
    species: Mapped[str] = mapped_column(Text, server_default="")
    strain: Mapped[str] = mapped_column(Text, server_default="")
    strain_id: Mapped[str | None] = mapped_column(Text)
    taxid: Mapped[int | None] = mapped_column(BigInteger)
    lineage: Mapped[str] = mapped_column(Text, server_default="")
    gc_content: Mapped[float | None]
    sequence_length: Mapped[int | None] = mapped_column(BigInteger)
    fasta_path: Mapped[str | None] = mapped_column(Text)
    fasta_hash: Mapped[str | None] = mapped_column(String(64))


class GenomeEmbedding(Base):
    """The features of a genome by one method: the bytes of a .npy file, float32 (d,)."""

    __tablename__ = "genome_embeddings"
    __table_args__ = (CheckConstraint("embedding_dim > 0", name="embedding_dim"),)

    genome_id: Mapped[str] = mapped_column(
        ForeignKey("genomes.genome_id", ondelete="CASCADE"), primary_key=True
    )
    embedding_model: Mapped[str] = mapped_column(String(64), primary_key=True)
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
    embedding_dim: Mapped[int]
    fasta_hash: Mapped[str | None] = mapped_column(String(64))


class Medium(Base):
    """A medium; without rows in media_ingredients its recipe is not known."""

    __tablename__ = "media"
    __table_args__ = (CheckConstraint("min_ph >= 0 AND max_ph <= 14 AND min_ph <= max_ph", name="ph"),)

    medium_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text, server_default="")
    collection: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(Text)
    medium_type: Mapped[str | None] = mapped_column(Text)
    min_ph: Mapped[float | None]
    max_ph: Mapped[float | None]
    physical_state: Mapped[str | None] = mapped_column(Text)
    link: Mapped[str | None] = mapped_column(Text)


class Ingredient(Base):
    """A compound or mixture, by the name that recipes use."""

    __tablename__ = "ingredients"
    __table_args__ = (CheckConstraint("molar_mass > 0", name="molar_mass"),)

    name: Mapped[str] = mapped_column(String(300), primary_key=True)
    chebi: Mapped[str | None] = mapped_column(Text)
    molar_mass: Mapped[float | None]


class MediumIngredient(Base):
    """A line of a recipe: the amount in the finished medium, and what the source wrote."""

    __tablename__ = "media_ingredients"
    __table_args__ = (CheckConstraint("g_per_l >= 0", name="g_per_l"), Index(None, "ingredient"))

    medium_id: Mapped[str] = mapped_column(
        ForeignKey("media.medium_id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ingredient: Mapped[str] = mapped_column(ForeignKey("ingredients.name"))
    as_written: Mapped[str] = mapped_column(Text, server_default="")
    g_per_l: Mapped[float | None]
    raw_value: Mapped[float | None]
    raw_unit: Mapped[str] = mapped_column(Text, server_default="")
    flag: Mapped[str] = mapped_column(Text, server_default="")
    guessed: Mapped[bool]


class Growth(Base):
    """Whether a genome's organism grew on a medium, by one source."""

    __tablename__ = "genome_growth"
    __table_args__ = (
        CheckConstraint("confidence >= 0 AND confidence <= 1", name="confidence"),
        CheckConstraint("max_od >= 0", name="max_od"),
        Index(None, "media_id"),
    )

    genome_id: Mapped[str] = mapped_column(
        ForeignKey("genomes.genome_id", ondelete="CASCADE"), primary_key=True
    )
    media_id: Mapped[str] = mapped_column(ForeignKey("media.medium_id", ondelete="CASCADE"), primary_key=True)
    source: Mapped[str] = mapped_column(String(255), primary_key=True)
    growth: Mapped[bool]
    confidence: Mapped[float]
    max_od: Mapped[float | None]
    rank: Mapped[str] = mapped_column(Text, server_default="")


class Taxon(Base):
    """What is typical of a genus: lineage, median GC and genome size."""

    __tablename__ = "taxa"
    __table_args__ = (CheckConstraint("gc >= 0 AND gc <= 100", name="gc"),)

    genus: Mapped[str] = mapped_column(String(128), primary_key=True)
    lineage: Mapped[str] = mapped_column(Text, server_default="")
    gc: Mapped[float | None]
    genome_size: Mapped[float | None]
    n_assemblies: Mapped[int | None]
