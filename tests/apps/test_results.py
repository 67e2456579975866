"""What a run has made, as its page shows it."""

from __future__ import annotations

import dataclasses
import json

import ipyleaflet

from geolab import jobs
from geolab.apps import products, results
from geolab.apps.parts import Table


def test_numbers_products_figures_and_files_of_a_run_are_shown(ran, make_page, within, words, hostile):
    page = make_page(ran.workspace)
    view = jobs.show(ran.drawn, settings=ran.workspace)
    shown = results.results(page, view)
    said = words(shown)
    assert "12,346 m²" in said
    assert "25 %" in said
    assert "[1, 2]" in said
    assert "<script" not in said
    assert "red.png" in said
    files = next(one for one in within(shown) if isinstance(one, Table))
    assert {row["file"]["text"] for row in files.rows} == {"mask.tif", "table.csv"}
    assert all(row["file"]["href"].startswith(f"/geolab/runs/{ran.drawn}/") for row in files.rows)
    chart = next(one for one in within(shown) if isinstance(one, ipyleaflet.Map))
    tiles = [layer for layer in chart.layers if isinstance(layer, ipyleaflet.TileLayer)]
    assert len(tiles) == 1
    assert tiles[0].url.startswith("/geolab/tiles/results/")


def test_files_outside_the_runs_folder_are_words_not_links(ran, tmp_path):
    view = jobs.show(ran.drawn, settings=ran.workspace)
    outside = tmp_path / "secret.txt"
    outside.write_text("x")
    given = {
        "a": outside.as_uri(),
        "b": f"{view.folder}/../../x",
        "c": str(view.folder),
        "d": "https://x.test/y",
    }
    assert list(results.found_files(given, view.folder)) == []
    assert dict(results.told(given, view.folder))["d"] == "https://x.test/y"


def test_a_link_in_a_runs_folder_that_leads_out_is_not_offered(ran, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "out.txt").symlink_to("/etc/passwd")
    assert list(results.found_files({"a": str(folder / "out.txt")}, folder)) == []


def test_a_run_without_results_says_so(ran, make_page, words):
    view = jobs.show(ran.drawn, settings=ran.workspace)
    bare = dataclasses.replace(view, report={"results": {}, "outputs": []})
    assert "No results were reported" in words(results.results(make_page(ran.workspace), bare, figures=False))


def test_only_rasters_with_a_place_are_drawn_masks_first():
    def item(name, href, box=(1, 2, 3, 4)):
        return {
            "id": name, "collection": "results", "bbox": list(box),
            "properties": {"geolab:result": name}, "assets": {"data": {"href": href}},
        }  # fmt: skip

    found = products.drawn(
        [item("probability", "p.tif"), item("model", "m.ply"), item("mask", "m.tif"), item("x", "x.tif", ())]
    )
    assert [products.result(one) for one in found] == ["mask", "probability"]


def test_the_largest_polygons_are_taken_and_a_file_that_is_none_gives_none(tmp_path):
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    features = [{"type": "Feature", "geometry": square, "properties": {"area_m2": n}} for n in range(300)]
    features += [{"type": "Feature", "geometry": square, "properties": {"area_m2": "<b>"}}]
    path = tmp_path / "p.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = products.polygons(path)
    assert [one["properties"]["area_m2"] for one in found] == list(range(299, 99, -1))
    for content in ("[]", "{", '{"features": [1]}', '{"features": [{"geometry": null}]}', "[" * 100_000):
        path.write_text(content)
        assert products.polygons(path) == []
    assert products.polygons(tmp_path / "none.geojson") == []
