"""The tokens of the look: colours that everybody can read, and the same ones in both schemes."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from geolab.service import lab

FOLDER = Path(__file__).parents[2] / "jupyter_config" / "share" / "nbconvert" / "templates" / "geolab"
TEXT = ("ink", "ink-soft", "accent", "ok", "run", "warn", "fail")


def tokens() -> list[dict[str, str]]:
    """The colours of the light scheme, and of the dark one."""
    light, dark = (FOLDER / "static" / "tokens.css").read_text().split("@media (prefers-color-scheme: dark)")
    return [dict(re.findall(r"--geolab-([\w-]+): (#[0-9a-f]{6});", part)) for part in (light, dark)]


def luminance(colour: str) -> float:
    values = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio, 1..21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_in_every_colour_meets_aa_on_every_ground():
    light, dark = tokens()
    assert light.keys() == dark.keys()
    for scheme in (light, dark):
        for name, ground in product(TEXT, ("surface", "panel")):
            assert contrast(scheme[name], scheme[ground]) >= 4.5, (name, ground)
        assert contrast(scheme["on-accent"], scheme["accent"]) >= 4.5
        assert contrast(scheme["accent"], scheme["accent-soft"]) >= 4.5


def test_the_frame_asks_nothing_of_other_servers_and_names_no_colour_of_its_own():
    for path in FOLDER.rglob("*.*"):
        found = re.findall(r"(?:https?:)?//[\w-]+\.[\w./-]+", path.read_text(encoding="utf-8"))
        assert [one for one in found if "www.w3.org" not in one] == [], path.name
    css = (FOLDER / "static" / "geolab.css").read_text()
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)", css)) <= {
        "#fff"
    }  # behind figures, in both schemes


def test_launcher_cards_lead_to_what_is_there(tmp_path):
    repository = FOLDER.parents[4]
    icons = repository / "jupyter_config" / "icons"
    cards = lab.cards(repository / "notebooks", repository, icons)
    assert "geolab-app-home" in cards
    assert cards["geolab-notebook-04_detect_change"]["launcher_entry"]["title"].startswith("04 Detect change")
    for name, card in cards.items():
        entry = card["launcher_entry"]
        assert Path(entry["icon_path"]).is_file(), name
        place = entry["path_info"].removeprefix("lab/tree/").removeprefix("voila/render/")
        assert place == "mlflow/" or (repository / place).is_file(), name
    assert list(lab.cards(repository / "notebooks", tmp_path, icons)) == ["geolab-mlflow"]


def test_in_lab_pages_find_each_other_wherever_their_notebooks_lie(server):
    answer = server.get("voila/render/home.ipynb?run=abc", follow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("/voila/render/apps/home.ipynb?run=abc")
    assert server.get("geolab/status").json()["kernel"] is False
    repository = FOLDER.parents[4]
    assert lab.pages(repository / "notebooks", repository)["map"] == "notebooks/apps/map.ipynb"
    assert lab.pages(repository / "notebooks", repository / "notebooks" / "apps") == {}
    assert lab.pages(repository / "notebooks", repository / "tests") == {}
