"""The whole path in small: the same stages as `make demo`, on a smaller town and with less training."""

import re

import pytest

from geolab import catalog
from geolab.cli import demo
from geolab.settings import Settings


@pytest.mark.slow
def test_the_demo_goes_from_files_to_maps_of_change_and_models_in_3d_and_is_found_again(
    workspace: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(demo, "TOWN_PX", 768)
    monkeypatch.setattr(demo, "TRAIN_MINUTES", 0.25)
    monkeypatch.setattr(demo, "SPLATS", {"steps": 100, "image_px": 160, "cap": 5000, "sh_degree": 0})
    assert demo.show(workspace, as_json=False) == 0
    told = capsys.readouterr().out
    assert "On a part of the town that neither has seen" in told
    assert "CVA, best threshold" in told
    assert "m² changed" in told
    assert re.search(r"photos it has never seen +PSNR \d\d\.\d dB", told)
    assert re.search(r"heights of the surface +\d\.\d\d m off on average", told)
    assert re.search(r"orthophoto +0\.\d\d m beside the town's own", told)
    results = catalog.open_catalog(workspace).search(catalog.Search(collections=("results",))).items
    assert {item["properties"]["geolab:role"] for item in results} == {"product"}
    assert {i["properties"].get("geolab:result") for i in results} >= {"splats", "orthophoto", "dsm", "mask"}
    assert demo.show(workspace, as_json=False) == 0
    assert capsys.readouterr().out.count("found, done before") == 6
