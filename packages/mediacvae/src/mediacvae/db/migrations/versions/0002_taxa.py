"""What is typical of a genus."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "taxa",
        sa.Column("genus", sa.String(128), nullable=False),
        sa.Column("lineage", sa.Text(), server_default="", nullable=False),
        sa.Column("gc", sa.Double()),
        sa.Column("genome_size", sa.Double()),
        sa.Column("n_assemblies", sa.Integer()),
        sa.CheckConstraint("gc >= 0 AND gc <= 100", name=op.f("ck_taxa_gc")),
        sa.PrimaryKeyConstraint("genus", name=op.f("pk_taxa")),
    )


def downgrade() -> None:
    """Take the table away."""
    op.drop_table("taxa")
