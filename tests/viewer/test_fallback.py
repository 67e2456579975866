"""Pictures drawn by the kernel: the newest wish wins, and a picture is what the rasterizer makes."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from PIL import Image

from geolab import viewer
from geolab.modelserver import process
from geolab.splats import io as io_of_splats
from geolab.splats import rasterize
from geolab.viewer import fallback, poses

ORBIT = {"target": [0.0, 0.0, 3.0], "distance": 120.0, "azimuth": 0.4, "elevation": 0.7}


def wish(number: int = 1, **changes) -> fallback.Wish:
    told = {"number": number, "page": "p", "orbit": ORBIT, "size": [240, 160], "moving": False} | changes
    return fallback.Wish.from_message(told)


def drawn(model) -> fallback.Drawing:
    return fallback.drawing(model, "", "", lambda _: None)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_picture_is_what_the_rasterizer_makes(world):
    model = world.terrain(4000)
    got = pixels(fallback.draw(model, wish(), background="#204060"))
    assert got.shape == (160, 240, 3)
    seen = poses.orbit_camera(ORBIT, 240, 160)
    ours = rasterize.render(model, seen, background=[0x20 / 255, 0x40 / 255, 0x60 / 255], mode="RGB").rgb
    assert world.psnr(got, np.clip(ours, 0, 1) * 255) > 30
    assert np.abs(got[0, 0].astype(int) - [0x20, 0x40, 0x60]).max() <= 3


def test_pictures_are_small_while_the_view_moves_and_bounded_at_rest():
    assert max(wish(size=[2000, 500], moving=True).width, 0) == fallback.MOVING_PX
    rest = wish(size=[1e9, 1e9])
    assert (rest.width, rest.height) == (fallback.FULL_PX, fallback.FULL_PX)
    assert wish(size=[-5, 0]).width == 2


def test_the_newest_wish_wins(world):
    model, sent = world.terrain(500), []
    going, may_go = threading.Event(), threading.Event()

    def send(message, buffers):
        sent.append((message, buffers))
        going.set()
        may_go.wait(20)

    stills = fallback.Stills(drawn(model), send)
    stills.ask(wish(1))
    assert going.wait(60)
    for number in range(2, 40):
        stills.ask(wish(number))
    may_go.set()
    stills.wait()
    assert [message["number"] for message, _ in sent] == [1, 39]
    assert all(pixels(buffers[0]).shape == (160, 240, 3) for _, buffers in sent)
    stills.ask(wish(40))  # a new thread, as the old one has ended
    stills.wait()
    assert sent[-1][0]["number"] == 40


def test_a_view_that_cannot_be_drawn_is_answered_in_words(world):
    sent = []
    stills = fallback.Stills(
        drawn(world.terrain(50)), lambda message, buffers: sent.append((message, buffers))
    )
    stills.ask(wish(orbit=ORBIT | {"distance": -1}))
    stills.wait()
    ((message, buffers),) = sent
    assert "view" in message["error"]
    assert buffers == []


@pytest.mark.parametrize(
    "text, rgb", [("#ff8000", (255, 128, 0)), ("red", (0xEE, 0xF1, 0xF3)), ("", (0xEE, 0xF1, 0xF3))]
)
def test_colours_are_hexadecimal_or_the_ground_of_maps(text, rgb):
    assert [round(255 * v) for v in fallback.color(text)] == list(rgb)


def test_a_page_tells_the_ground_behind_the_model_but_the_widgets_own_wins(world):
    model, sent = world.terrain(200), []
    for own, expected in (("", (0x1C, 0x20, 0x24)), ("#204060", (0x20, 0x40, 0x60))):
        stills = fallback.Stills(
            drawn(model), lambda _, buffers: sent.append(buffers[0]), background=lambda o=own: o
        )
        stills.ask(wish(ground="#1c2024"))
        stills.wait()
        assert np.abs(pixels(sent[-1])[0, 0].astype(int) - expected).max() <= 3
    light = pixels(fallback.draw(model, wish(), background="url(x)"))
    assert np.abs(light[0, 0].astype(int) - [0xEE, 0xF1, 0xF3]).max() <= 3


def test_with_a_model_server_the_pictures_of_a_file_come_from_it(world, tmp_path, monkeypatch):
    model = world.terrain(2000, sh_degree=1)
    io_of_splats.write(tmp_path / "hills.ply", model)
    read, told, here = io_of_splats.read(tmp_path / "hills.ply").gaussians, [], []
    monkeypatch.setattr(fallback, "draw", lambda *_, **__: here.append(1))
    with process.stay(tmp_path / "s", grace_s=0.3) as kept:
        monkeypatch.setenv("GEOLAB_MODELSERVER", str(kept.address))
        asked = fallback.drawing(read, str(tmp_path / "hills.ply"), "page", told.append)
        got = pixels(asked(wish(), "#204060"))
        shown = viewer.show(tmp_path / "hills.ply")
        assert "image/jpeg" not in shown._repr_mimebundle_()[0]  # nor is one kept
        shown.close()
    assert here == []
    assert told == [0]
    seen = poses.orbit_camera(ORBIT, 240, 160)
    ours = rasterize.render(read, seen, background=[0x20 / 255, 0x40 / 255, 0x60 / 255], mode="RGB").rgb
    assert world.psnr(got, np.clip(ours, 0, 1) * 255) > 30
