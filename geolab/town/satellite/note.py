"""README.txt of an archive: what the files are, and what of it is exact."""

from __future__ import annotations

from geolab.town.satellite import spectra, truth
from geolab.town.satellite.area import GSD_M, Area
from geolab.town.satellite.ground import ROTATION, Ground
from geolab.town.satellite.scene import Errors
from geolab.town.satellite.sky import Sky

README = "README.txt"


def words(area: Area, ground: Ground, skies: list[Sky], errors: Errors, scenes: int) -> str:
    """The text."""
    cell = area.cells[0].window
    years = f"{ground.years[0]} to {ground.years[-1]}" if len(ground.years) > 1 else str(ground.years[0])
    cells = f"{len(area.cells)} cell{'s' if len(area.cells) > 1 else ''}"
    summer = [sky for sky in skies if truth.SEASON[0] <= sky.when.month <= truth.SEASON[1]]
    exact = (
        "always"
        if errors.scl == 0
        else f"but for {errors.scl:.0%} of thin cloud edges, which are called clear"
    )
    tiles, bands = ", ".join(g.tile for g in area.granules), ", ".join(spectra.BANDS)
    shift = f"off by a normal error of {errors.shift_px:g} pixels for each scene and zone"
    shift = shift if errors.shift_px > 0 else "exact"
    return f"""\
A satellite archive of the sample world, made by geolab.town. Nothing here is a real place.

seed {ground.seed}, {years}, {cells} of {cell.width} x {cell.height} pixels of {GSD_M} m;
{scenes} scenes on {len(skies)} days, {len(summer)} of them from June to August, granules {tiles}.

grid.gpkg        the cells: id, epsg, xmin ymin xmax ymax (metres in that zone), gsd_m, width, height;
                 outlines in longitude and latitude. Half of the cells lie in UTM zone 32, half in zone 33, on
                 both sides of 12 degrees east; their corners are multiples of their size. At the zone edge
                 they may overlap or leave a gap, as real grids do.
catalog.json     a static STAC catalogue; serve it with: geolab town DIR --serve
sentinel-2-l2a/YEAR/ID/          a scene as COGs, blue green red nir (10 m), swir16 scl (20 m), and its item
truth/CELL-YEAR.tif              reflectance 0..1 without clouds and noise: {bands}
truth/CELL-YEAR-looks.tif        on how many days of the season the pixel was seen clear
truth/CELL-YEAR-YEAR-change.tif  1 where the use of the land changed between two summers, else 0
truth/changes.geojson            outlines, kinds and years of all changes

Stored values. reflectance = scale * stored + offset, as raster:bands of each asset says; 0 is no data.
Scenes before 25 January 2022 have offset 0, later ones -0.1 (stored = 10,000 * reflectance + 1,000), as
those of Sentinel-2 do since processing baseline 04.00: who takes one offset for all years finds a change
everywhere.

What is exact.
- Ground: one landscape in one local frame; both zones sample it, each pixel as the mean of 4 x 4 places
  that are 2.5 m apart. swir16 is the mean of 2 x 2 such pixels; truth/ repeats it on the grid of 10 m.
- Season: from 1 June to 31 August nothing on the ground changes its colour. The truth of a year is the
  median over all days of these months (seen clear or not) of what a sensor without noise would see without
  clouds and shadows; so the median of any clear looks of the season equals it, but for noise.
- Noise: normal, independent for pixels, bands, days and granules, standard deviation {errors.noise:g} of
  reflectance; then rounded to 0.0001.
- Registration: {shift}. Haze: none.
- Classes (scl): 3 shadow, 4 vegetation, 5 bare, 6 water, 7 unclassified, 8 and 9 cloud, 10 thin cloud,
  11 snow, 0 no data. Each 20 m that holds any cloud or shadow, however thin, is called 3, 8, 9 or 10:
  {exact}. 4, 5, 6, 7 and 11 are clear.
- Looks: days of June to August on which the pixel lies in the satellite's strip and is called clear. Days
  on which two granules of a zone show it count once.
- Change: new homes, works (halls and yards), quarries, solar fields; works that go; woods that are cleared.
  Each happens once, on a piece of 2,600 to 16,000 m2, between two summers, for good. A pixel is changed
  when at least half of its area has another use. Roads and water never change.
- Not change: crops ({ROTATION:.0%} of the fields grow another one than before), seasons, snow, clouds.

Granules of one zone overlap, and cells lie in one, in two or partly in one. Granules of both zones show the
cells near the edge: for exact pixels take the items whose proj:code is the cell's. On some days the strip of
the satellite ends within the area.
"""
