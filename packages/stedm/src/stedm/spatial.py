"""Cells in a SpatialData store (`.zarr`): one of its tables as AnnData, with the places of what the table annotates.

Needs the library spatialdata, the `[spatialdata]` extra; nothing else in the package imports it. Results are written as
AnnData (`.h5ad`).
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np

from stedm.h5ad import SECTION, SPATIAL, readable, refuse_swollen
from stedm.tissue import DataError

if TYPE_CHECKING:
    from anndata import AnnData

SYSTEM = "global"  # the coordinate system that readers of SpatialData fill
ABOUT = "spatialdata_attrs"  # uns: what a table annotates
UNREAD = ("images", "points")  # elements that nothing here reads, and the largest


def read(path: Path | str, key: str | None = SPATIAL) -> tuple[AnnData, tuple[str, ...]]:
    """The AnnData of a table, and what was noted.

    path: `F.zarr`, a store with one table, or `F.zarr/tables/NAME`. key: the coordinates that will be asked for. Where
    that is `spatial` and obsm has none, they become the centroids (n, 2 or 3) of the annotated shapes or labels, in the
    system `global` (or the only one). Where obs['section'] is absent and several elements are annotated, each is one.
    Raises DataError: spatialdata is not installed; no store, a damaged one, none or several tables; an element or
    instance that is not there.
    """
    path = Path(path)
    table = _table(path)
    with readable(path, "a SpatialData store"):
        refuse_swollen(path, import_module("zarr").open_group(table, mode="r"), lambda x: x.nbytes_stored())
        data = anndata.read_zarr(table)
        about = data.uns.get(ABOUT, {})
        if about.get("region_key") is None:
            return data, ()
        notes = []
        regions = data.obs[about["region_key"]]
        if SECTION not in data.obs and regions.nunique() > 1:
            data.obs[SECTION] = regions
            notes.append(f"obs['section'] is absent: sections are the elements of obs[{regions.name!r}]")
        if key == SPATIAL and SPATIAL not in data.obsm:
            data.obsm[SPATIAL] = _centroids(path, table.parents[1], regions, data.obs[about["instance_key"]])
            notes.append(f"obsm[{SPATIAL!r}] is absent: coordinates are centroids of shapes or labels")
    return data, tuple(notes)


def fingerprint(path: Path) -> str:
    """SHA-256 of the names and bytes of a store's files, without the elements that are not read.

    Raises DataError as `read`.
    """
    store, found = _table(path).parents[1], hashlib.sha256()
    for file in sorted(store.rglob("*")):
        name = file.relative_to(store)
        if file.is_file() and name.parts[0] not in UNREAD:
            found.update(f"{name.as_posix()}\0{file.stat().st_size}\0".encode())
            found.update(file.read_bytes())
    return found.hexdigest()


def _table(path: Path) -> Path:
    """The folder of the table that is meant. DataError where that is not clear, or where spatialdata is absent."""
    store = path if path.suffix == ".zarr" else path.parent.parent
    if not store.is_dir():
        there = "a file" if store.is_file() else "none"
        msg = f"{store}: expected a SpatialData store, which is a folder, there is {there}"
        raise DataError(msg)
    if find_spec("spatialdata") is None:
        msg = f"{path}: needs spatialdata, which is not installed: pip install 'stedm[spatialdata]'"
        raise DataError(msg)
    tables = sorted(folder for folder in (store / "tables").glob("[!.]*") if folder.is_dir())
    meant = tables if path == store else [folder for folder in tables if folder == path]
    if len(meant) == 1:
        return meant[0]
    wanted = "a SpatialData store with one table" if path == store else "a table of a SpatialData store"
    hint = f": name one, as {tables[0]}" if tables else ""
    msg = f"{path}: expected {wanted}, there is {', '.join(x.name for x in tables) or 'none'}{hint}"
    raise DataError(msg)


def _centroids(path: Path, store: Path, regions: Any, instances: Any) -> np.ndarray:
    """Where each cell's instance lies in the element that its region names: (n, 2 or 3), in the order x, y, z."""
    library = import_module("spatialdata")
    elements = library.read_zarr(store, selection=("shapes", "labels"))
    known = {**elements.shapes, **elements.labels}
    order, places = [], []
    for name in regions.unique():
        if name not in known:
            there = ", ".join(known) or "none"
            msg = f"{path}: obs[{regions.name!r}]: expected shapes or labels, got {name!r}, there is {there}"
            raise DataError(msg)
        rows = np.flatnonzero(regions == name)
        element = known[name]
        if hasattr(element, "sort_index"):  # shapes; spatialdata complains of an index out of order
            element = element.sort_index()
        centroids = library.get_centroids(element, _system(path, name, element)).compute()
        at = centroids.index.get_indexer(instances.iloc[rows])
        if (at < 0).any():
            cell = rows[int((at < 0).argmax())]
            found = f"cell {regions.index[cell]}: expected an instance of {name}, got {instances.iloc[cell]}"
            msg = f"{path}: obs[{instances.name!r}]: {found}"
            raise DataError(msg)
        order.append(rows)
        places.append(centroids[[axis for axis in "xyz" if axis in centroids]].to_numpy()[at])
    return np.concatenate(places)[np.argsort(np.concatenate(order))]


def _system(path: Path, name: str, element: Any) -> str:
    """The coordinate system of an element: `global`, or the only one."""
    systems = import_module("spatialdata.transformations").get_transformation(element, get_all=True)
    if SYSTEM in systems or len(systems) == 1:
        return SYSTEM if SYSTEM in systems else next(iter(systems))
    msg = f"{path}: {name}: expected the coordinate system {SYSTEM!r}, there is {', '.join(systems)}"
    raise DataError(msg)
