"""The database: genomes, their features and growth, media and their recipes, in SQLite or PostgreSQL.

`store_genome_metadata` and `store_genome_growth_observation` keep single records, `import_folder` whole tables, `read`
gives everything as frames. A `url` is `sqlite:///FILE` or `postgresql://...`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediacvae.db.engines import DEFAULT_URL as DEFAULT_URL
    from mediacvae.db.engines import DatabaseError as DatabaseError
    from mediacvae.db.importing import import_folder as import_folder
    from mediacvae.db.migrating import upgrade as upgrade
    from mediacvae.db.organisms import add_growth as add_growth
    from mediacvae.db.reading import Tables as Tables
    from mediacvae.db.reading import info as info
    from mediacvae.db.reading import read as read
    from mediacvae.db.reading import read_embedding as read_embedding
    from mediacvae.db.reading import read_embeddings as read_embeddings
    from mediacvae.db.reading import read_organisms as read_organisms
    from mediacvae.db.store import store_genome_growth_observation as store_genome_growth_observation
    from mediacvae.db.store import store_genome_metadata as store_genome_metadata

_HOME = {
    "DEFAULT_URL": "engines",
    "DatabaseError": "engines",
    "Tables": "reading",
    "add_growth": "organisms",
    "import_folder": "importing",
    "info": "reading",
    "read": "reading",
    "read_embedding": "reading",
    "read_embeddings": "reading",
    "read_organisms": "reading",
    "store_genome_growth_observation": "store",
    "store_genome_metadata": "store",
    "upgrade": "migrating",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for: importing the package stays cheap."""
    if name not in _HOME:
        msg = f"module 'mediacvae.db' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"mediacvae.db.{_HOME[name]}"), name)
