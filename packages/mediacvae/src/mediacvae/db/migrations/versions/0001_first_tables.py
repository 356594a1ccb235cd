"""Genomes, their features and growth; media, ingredients and recipes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TYPES = "organism_type IN ('bacteria', 'archaea', 'fungi', 'protist', 'virus')"


def upgrade() -> None:
    """Make the tables."""
    _genomes()
    _media()
    _growth()


def _genomes() -> None:
    op.create_table(
        "genomes",
        sa.Column("genome_id", sa.String(128), nullable=False),
        sa.Column("organism_name", sa.Text(), nullable=False),
        sa.Column("organism_type", sa.String(16), nullable=False),
        sa.Column("genus", sa.Text(), server_default="", nullable=False),
        sa.Column("species", sa.Text(), server_default="", nullable=False),
        sa.Column("strain", sa.Text(), server_default="", nullable=False),
        sa.Column("strain_id", sa.Text()),
        sa.Column("taxid", sa.BigInteger()),
        sa.Column("lineage", sa.Text(), server_default="", nullable=False),
        sa.Column("gc_content", sa.Double()),
        sa.Column("sequence_length", sa.BigInteger()),
        sa.Column("fasta_path", sa.Text()),
        sa.Column("fasta_hash", sa.String(64)),
        sa.CheckConstraint(_TYPES, name=op.f("ck_genomes_organism_type")),
        sa.CheckConstraint("gc_content >= 0 AND gc_content <= 100", name=op.f("ck_genomes_gc_content")),
        sa.CheckConstraint("sequence_length > 0", name=op.f("ck_genomes_sequence_length")),
        sa.PrimaryKeyConstraint("genome_id", name=op.f("pk_genomes")),
    )
    op.create_index(op.f("ix_genomes_genus"), "genomes", ["genus"])
    op.create_table(
        "genome_embeddings",
        sa.Column("genome_id", sa.String(128), nullable=False),
        sa.Column("embedding_model", sa.String(64), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("embedding_dim", sa.Integer(), nullable=False),
        sa.Column("fasta_hash", sa.String(64)),
        sa.CheckConstraint("embedding_dim > 0", name=op.f("ck_genome_embeddings_embedding_dim")),
        _foreign("genome_embeddings", "genome_id", "genomes.genome_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("genome_id", "embedding_model", name=op.f("pk_genome_embeddings")),
    )


def _media() -> None:
    op.create_table(
        "media",
        sa.Column("medium_id", sa.String(255), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("collection", sa.Text()),
        sa.Column("category", sa.Text()),
        sa.Column("medium_type", sa.Text()),
        sa.Column("min_ph", sa.Double()),
        sa.Column("max_ph", sa.Double()),
        sa.Column("physical_state", sa.Text()),
        sa.Column("link", sa.Text()),
        sa.CheckConstraint("min_ph >= 0 AND max_ph <= 14 AND min_ph <= max_ph", name=op.f("ck_media_ph")),
        sa.PrimaryKeyConstraint("medium_id", name=op.f("pk_media")),
    )
    op.create_table(
        "ingredients",
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("chebi", sa.Text()),
        sa.Column("molar_mass", sa.Double()),
        sa.CheckConstraint("molar_mass > 0", name=op.f("ck_ingredients_molar_mass")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ingredients")),
    )
    op.create_table(
        "media_ingredients",
        sa.Column("medium_id", sa.String(255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("ingredient", sa.String(300), nullable=False),
        sa.Column("as_written", sa.Text(), server_default="", nullable=False),
        sa.Column("g_per_l", sa.Double()),
        sa.Column("raw_value", sa.Double()),
        sa.Column("raw_unit", sa.Text(), server_default="", nullable=False),
        sa.Column("flag", sa.Text(), server_default="", nullable=False),
        sa.Column("guessed", sa.Boolean(), nullable=False),
        sa.CheckConstraint("g_per_l >= 0", name=op.f("ck_media_ingredients_g_per_l")),
        _foreign("media_ingredients", "medium_id", "media.medium_id", ondelete="CASCADE"),
        _foreign("media_ingredients", "ingredient", "ingredients.name"),
        sa.PrimaryKeyConstraint("medium_id", "position", name=op.f("pk_media_ingredients")),
    )
    op.create_index(op.f("ix_media_ingredients_ingredient"), "media_ingredients", ["ingredient"])


def _growth() -> None:
    op.create_table(
        "genome_growth",
        sa.Column("genome_id", sa.String(128), nullable=False),
        sa.Column("media_id", sa.String(255), nullable=False),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("growth", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("max_od", sa.Double()),
        sa.Column("rank", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("confidence >= 0 AND confidence <= 1", name=op.f("ck_genome_growth_confidence")),
        sa.CheckConstraint("max_od >= 0", name=op.f("ck_genome_growth_max_od")),
        _foreign("genome_growth", "genome_id", "genomes.genome_id", ondelete="CASCADE"),
        _foreign("genome_growth", "media_id", "media.medium_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("genome_id", "media_id", "source", name=op.f("pk_genome_growth")),
    )
    op.create_index(op.f("ix_genome_growth_media_id"), "genome_growth", ["media_id"])


def _foreign(table: str, column: str, target: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{target.partition('.')[0]}")
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete=ondelete)


def downgrade() -> None:
    """Take the tables away."""
    tables = ("genome_growth", "media_ingredients", "ingredients", "media", "genome_embeddings", "genomes")
    for name in tables:
        op.drop_table(name)
