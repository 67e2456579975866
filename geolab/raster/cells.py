"""Grids of cells: squares of UTM, each with one fixed grid of pixels, from a file or over an area.

    for cell in cells.over((11.9, 48.0, 12.1, 48.1), side_m=2560):
        cell.id, cell.geobox

A cell is always the same pixels: whatever is made for it, in any year, lies on `cell.geobox`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from rasterio.crs import CRS
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from geolab import store
from geolab.errors import BadInput, FileRejected, NotFound
from geolab.raster import gridfile, utm
from geolab.raster.info import Info

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Area = BaseGeometry | Mapping[str, Any] | Sequence[float] | str | os.PathLike[str]

GSD_M = 10.0
SIDE_M = 2560.0
MOST_CELLS = 100_000
LARGEST_PX = 20_000  # side of a cell
SAME_PX = 0.01  # edges nearer than this to whole pixels lie on them
SMALLEST_M2 = 1.0  # of an area within a cell; less is rounding along an edge


@dataclass(frozen=True)
class Cell:
    """One cell of a grid: its name, the EPSG code of its CRS (metres), its pixels."""

    id: str
    epsg: int
    geobox: GeoBox

    @property
    def gsd_m(self) -> float:
        """The side of a pixel, metres."""
        return abs(self.geobox.transform.a)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top), metres in the cell's CRS."""
        found = self.geobox.boundingbox
        return found.left, found.bottom, found.right, found.top

    @property
    def bbox_lonlat(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) of the box around it, degrees; west > east across the antimeridian."""
        # not geobox.geographic_extent: odc-geo 0.5 calls what shapely 2.2 deprecates
        outline = _projected(_fine(box(*self.bounds)), CRS.from_epsg(self.epsg), CRS.from_epsg(4326))
        west, south, east, north = outline.bounds
        if east - west > 180:
            lon = shapely.get_coordinates(outline)[:, 0]
            west, east = float(lon[lon > 0].min()), float(lon[lon < 0].max())
        return west, south, east, north

    @property
    def info(self) -> Info:
        """The header of a raster on this cell, for `raster.write_cog(like=...)`."""
        height, width = self.geobox.shape
        return Info(
            uri=self.id, driver="", width=width, height=height, count=0, dtype="",
            crs=CRS.from_epsg(self.epsg), transform=self.geobox.transform, nodata=None,
            band_names=(), colorinterp=(), tags={},
        )  # fmt: skip


def make(id: str, epsg: int, *, left: float, top: float, width: int, height: int, gsd_m: float) -> Cell:
    """The cell whose first pixel's outer corner is (left, top), metres."""
    from odc.geo.geobox import GeoBox  # 0.3 s to import; planning needs ids only
    from rasterio.transform import from_origin

    return Cell(id, epsg, GeoBox((height, width), from_origin(left, top, gsd_m, gsd_m), f"EPSG:{epsg}"))


# ---------------------------------------------------------------- from a file


def ids(path: str | os.PathLike[str]) -> list[str]:
    """The ids of a grid's cells, in the file's order. Raises NotFound, FileRejected."""
    return [row.id for row in gridfile.rows(path, geometry=False)]


def read(path: str | os.PathLike[str], *, gsd_m: float = GSD_M) -> list[Cell]:
    """The cells of a grid GeoPackage, their ids as they are.

    Ids are the column id, cell_id, cell or name, else the number of the feature. What the file says of
    the pixels is kept: columns epsg and gsd_m, or a layer in a UTM zone. Where it says nothing, a cell
    lies in the UTM zone of its centre. Its pixels cover its polygon, from whole multiples of their side on.
    Raises NotFound, FileRejected.
    """
    found, crs = gridfile.layer(path)
    return [_cell(row, crs, found, gsd_m) for row in gridfile.rows(path)]


def one(path: str | os.PathLike[str], id: str, *, gsd_m: float = GSD_M) -> Cell:
    """The cell of that id. Raises NotFound, which names those there are."""
    found, crs = gridfile.layer(path)
    row = next((row for row in gridfile.rows(path) if row.id == id), None)
    if row is None:
        raise NotFound("cell", id, known=ids(path), remedy=f"the grid is {found}")
    return _cell(row, crs, found, gsd_m)


def _cell(row: gridfile.Row, crs: CRS, path: str, gsd_m: float) -> Cell:
    pixel = row.gsd_m or gsd_m
    try:
        epsg = row.epsg or _zone_of(row.geometry, crs)
        polygon = _projected(row.geometry, crs, CRS.from_epsg(epsg))
        if not _is_box(polygon, pixel):  # its edges are bent in this zone: short pieces follow them
            polygon = _projected(_fine(row.geometry), crs, CRS.from_epsg(epsg))
    except BadInput as error:
        raise FileRejected(path, f"cell {row.id}: {error}") from error
    left, bottom, right, top = _on_pixels(_bounds(polygon, pixel), pixel)
    width, height = round((right - left) / pixel), round((top - bottom) / pixel)
    if not (1 <= width <= LARGEST_PX and 1 <= height <= LARGEST_PX):
        raise FileRejected(
            path, f"cell {row.id} is {width} x {height} px of {pixel:g} m; at most {LARGEST_PX} a side"
        )
    return make(row.id, epsg, left=left, top=top, width=width, height=height, gsd_m=pixel)


def _zone_of(polygon: BaseGeometry, crs: CRS) -> int:
    code = crs.to_epsg()
    if code is not None and utm.is_utm(code):
        return code
    centre = _projected(polygon.centroid, crs, CRS.from_epsg(4326))
    return utm.epsg_of(centre.x, centre.y)


def _projected(geometry: BaseGeometry, source: CRS, target: CRS) -> Any:
    if source == target:
        return geometry
    from pyproj import Transformer

    transformer = Transformer.from_crs(source.to_wkt(), target.to_wkt(), always_xy=True)
    moved = shapely.transform(geometry, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise BadInput("polygon", found="a corner that its CRS does not reach", expected="a place on Earth")
    return moved


def _is_box(polygon: BaseGeometry, pixel: float) -> bool:
    """Whether a polygon is the box around it, but for a hundredth of a pixel along its edges."""
    return box(*polygon.bounds).area - polygon.area < SAME_PX * pixel * polygon.length


def _fine(polygon: BaseGeometry) -> Any:
    west, south, east, north = polygon.bounds
    return shapely.segmentize(polygon, max(east - west, north - south) / 100)


def _bounds(polygon: BaseGeometry, pixel: float) -> tuple[float, float, float, float]:
    """Bounds rounded where corners lie within a hundredth of a pixel of a whole one."""
    return tuple(  # pyright: ignore[reportReturnType]
        round(edge / pixel) * pixel if abs(edge / pixel - round(edge / pixel)) < SAME_PX else edge
        for edge in polygon.bounds
    )


def _on_pixels(bounds: tuple[float, float, float, float], pixel: float) -> tuple[float, float, float, float]:
    """The smallest box of whole pixels around the bounds."""
    left, bottom, right, top = (edge / pixel for edge in bounds)
    return (
        math.floor(left + 1e-9) * pixel,
        math.floor(bottom + 1e-9) * pixel,
        math.ceil(right - 1e-9) * pixel,
        math.ceil(top - 1e-9) * pixel,
    )


def write(path: str | os.PathLike[str], cells: Iterable[Cell]) -> None:
    """A GeoPackage of the cells in longitude and latitude; `read` gives exactly the same cells."""
    import geopandas as gpd  # a second to import

    listed = list(cells)
    table = {
        "id": [c.id for c in listed],
        "epsg": [c.epsg for c in listed],
        "gsd_m": [c.gsd_m for c in listed],
    }
    shapes = [_projected(box(*c.bounds), CRS.from_epsg(c.epsg), CRS.from_epsg(4326)) for c in listed]
    target = store.local_path(path)
    if target is None:
        raise BadInput("grid", found=os.fspath(path), expected="a local path")
    with store.atomic_path(target, suffix=".gpkg") as temporary:
        temporary.unlink()  # GDAL wants to make it itself
        frame = gpd.GeoDataFrame(table, geometry=shapes, crs=4326)
        frame.to_file(temporary, driver="GPKG", layer="grid", engine="pyogrio")


# ---------------------------------------------------------------- over an area


def over(area: Area, side_m: float = SIDE_M, gsd_m: float = GSD_M) -> list[Cell]:
    """Square UTM cells that cover an area, from west to east and south to north in each zone.

    area: (west, south, east, north) in degrees; a GeoJSON geometry, feature or collection, as a dict, text
    or file; or a GeoPackage. Cells begin at whole multiples of side_m in their zone, so that
    neighbours share edges and any area gives cells of one and the same endless grid; ids say zone and
    lower left corner. A place belongs to the zone it lies in: along a zone's edge cells of both overlap,
    so that nothing between them is left out. Raises BadInput, NotFound, FileRejected.
    """
    _check_sizes(side_m, gsd_m)
    polygon = _polygon(area)
    found: list[Cell] = []
    for epsg, part in utm.parts(polygon):
        corners = list(_corners(part, epsg, side_m, most=MOST_CELLS - len(found)))
        pixels = round(side_m / gsd_m)
        found += [
            make(
                f"{utm.name(epsg)}-{x:.0f}-{y:.0f}", epsg,
                left=x, top=y + side_m, width=pixels, height=pixels, gsd_m=gsd_m,
            )
            for x, y in corners
        ]  # fmt: skip
    if not found:
        raise BadInput("area", found="less than a square metre", expected="an area that holds a pixel")
    return found


def _check_sizes(side_m: float, gsd_m: float) -> None:
    if not 0.1 <= gsd_m <= 1000:
        raise BadInput("gsd_m", found=gsd_m, expected="0.1 to 1000 metres")
    pixels = side_m / gsd_m
    if abs(pixels - round(pixels)) > 1e-6 or not 1 <= round(pixels) <= LARGEST_PX or side_m != round(side_m):
        raise BadInput(
            "side_m",
            found=side_m,
            expected=f"whole metres, a multiple of gsd_m ({gsd_m:g}), to {LARGEST_PX} px",
        )


def _corners(part: BaseGeometry, epsg: int, side_m: float, *, most: int) -> Iterator[tuple[float, float]]:
    """Lower left corners of the cells that hold some of a part of one zone."""
    # a line straight in degrees is bent in metres: short pieces follow it
    fine = shapely.segmentize(part, 0.01)
    ground = _projected(fine, CRS.from_epsg(4326), CRS.from_epsg(epsg))
    ground = ground if ground.is_valid else shapely.make_valid(ground)
    left, bottom, right, top = (edge / side_m for edge in ground.bounds)
    xs = np.arange(math.floor(left), math.ceil(right)) * side_m
    ys = np.arange(math.floor(bottom), math.ceil(top)) * side_m
    if len(xs) * len(ys) > 50 * most:  # far more than can be kept, even of a thin shape
        raise _too_many(len(xs) * len(ys), side_m)
    x, y = (axis.ravel() for axis in np.meshgrid(xs, ys))
    squares = shapely.box(x, y, x + side_m, y + side_m)
    shapely.prepare(ground)
    near = np.flatnonzero(shapely.intersects(ground, squares))
    inside = shapely.contains(ground, squares[near])
    share = np.where(inside, side_m**2, 0.0)
    share[~inside] = shapely.area(shapely.intersection(ground, squares[near[~inside]]))
    kept = near[share >= SMALLEST_M2]
    if len(kept) > most:
        raise _too_many(len(kept), side_m)
    yield from zip(x[kept].tolist(), y[kept].tolist(), strict=True)


def _too_many(count: int, side_m: float) -> BadInput:
    return BadInput(
        "area", found=f"{count:,} cells of {side_m:g} m", expected=f"at most {MOST_CELLS:,}",
        remedy="take a larger side_m or a smaller area",
    )  # fmt: skip


def _polygon(area: Area) -> BaseGeometry:
    """The area in longitude and latitude, checked."""
    polygon = shapely.force_2d(_geometry(area))
    polygon = polygon if polygon.is_valid else shapely.make_valid(polygon)
    west, south, east, north = polygon.bounds if not polygon.is_empty else (math.nan,) * 4
    if not polygon.area > 0:
        raise BadInput("area", found=f"a {polygon.geom_type} without area", expected="a polygon or a box")
    if west < -180 or east > 180:
        raise BadInput(
            "area", found=f"longitudes {west:g}..{east:g}", expected="-180..180",
            remedy="cut it at the antimeridian into two polygons, as GeoJSON asks for",
        )  # fmt: skip
    if south < utm.SOUTH or north > utm.NORTH:
        raise BadInput(
            "area", found=f"latitudes {south:g}..{north:g}", expected=f"{utm.SOUTH:g}..{utm.NORTH:g}",
            remedy="UTM ends there; give a grid of your own for the poles",
        )  # fmt: skip
    return polygon


def _geometry(area: Area) -> BaseGeometry:
    if isinstance(area, BaseGeometry):
        return area
    if isinstance(area, Mapping):
        return _from_geojson(area, "area")
    if isinstance(area, (str, os.PathLike)):
        return _from_file(area)
    return _from_bbox(area)


def _from_bbox(bounds: Sequence[float]) -> BaseGeometry:
    expected = "west, south, east, north in degrees"
    try:
        west, south, east, north = (float(edge) for edge in bounds)
    except (TypeError, ValueError) as error:
        raise BadInput("bbox", found=repr(bounds), expected=expected) from error
    if not all(map(math.isfinite, (west, south, east, north))) or south >= north or west == east:
        raise BadInput("bbox", found=repr(tuple(bounds)), expected=f"{expected}, with south < north")
    if west < east:
        return box(west, south, east, north)
    return shapely.union_all([box(west, south, 180, north), box(-180, south, east, north)])


def _from_file(source: str | os.PathLike[str]) -> BaseGeometry:
    text = os.fspath(source)
    if text.lstrip().startswith("{"):
        return _from_text(text, "area")
    if text.lower().endswith(".gpkg"):
        _, crs = gridfile.layer(text)
        shapes = [row.geometry for row in gridfile.rows(text)]
        return _projected(shapely.union_all(shapes), crs, CRS.from_epsg(4326))
    return _from_text(store.read_bytes(text).decode("utf-8", "replace"), text)


def _from_text(text: str, where: str) -> BaseGeometry:
    try:
        return _from_geojson(json.loads(text), where)
    except (ValueError, RecursionError) as error:
        raise FileRejected(where, f"neither GeoJSON nor a GeoPackage: {error}") from error


def _from_geojson(value: Any, where: str) -> BaseGeometry:
    """The union of what a geometry, feature or collection shows."""
    try:
        kind = value["type"]
        if kind == "FeatureCollection":
            return shapely.union_all([_from_geojson(one, where) for one in value["features"]])
        return shape(value["geometry"] if kind == "Feature" else value)
    except (LookupError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as error:
        raise BadInput(where, found="no GeoJSON", expected="a polygon, feature or collection") from error


def parsed(text: str) -> Area:
    """What a text names: four numbers are a bounding box, anything else is left as it is."""
    try:
        edges = tuple(float(part) for part in text.split(","))
    except ValueError:
        return text
    return edges if len(edges) == 4 else text
