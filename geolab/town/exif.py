"""What a drone writes into its photos: EXIF with position and lens, XMP with the gimbal's angles."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

MAKE, MODEL = "geolab", "Town Cam"
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"
{fields}/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(frozen=True)
class Tags:
    """Degrees and metres; height above the ellipsoid, above_ground from the place of take-off."""

    lon: float
    lat: float
    height: float
    above_ground: float
    yaw_deg: float
    pitch_deg: float
    taken: datetime  # UTC
    focal_mm: float
    focal_35mm: int
    px_per_cm: float
    rtk: bool


def jpeg(rgb: NDArray[np.uint8], tags: Tags, *, quality: int = 92) -> bytes:
    """The bytes of a photo [y, x, 3] with its tags; the same input gives the same bytes."""
    stream = io.BytesIO()
    picture = Image.fromarray(rgb)
    picture.save(
        stream, "JPEG", quality=quality, subsampling=0, exif=_exif(tags, picture.size), xmp=_xmp(tags)
    )  # fmt: skip
    return stream.getvalue()


def _exif(tags: Tags, size: tuple[int, int]) -> Image.Exif:
    exif = Image.Exif()
    base, ifd = ExifTags.Base, ExifTags.IFD
    exif[base.Make], exif[base.Model] = MAKE, MODEL
    exif[base.Orientation] = 1
    exif[base.DateTime] = f"{tags.taken:%Y:%m:%d %H:%M:%S}"
    resolution = _ratio(tags.px_per_cm, 10_000)
    exif.get_ifd(ifd.Exif).update({
        base.DateTimeOriginal: f"{tags.taken:%Y:%m:%d %H:%M:%S}",
        base.OffsetTimeOriginal: "+00:00",
        base.FocalLength: _ratio(tags.focal_mm, 100),
        base.FocalLengthIn35mmFilm: tags.focal_35mm,
        base.FocalPlaneXResolution: resolution,
        base.FocalPlaneYResolution: resolution,
        base.FocalPlaneResolutionUnit: 3,  # centimetres
        base.ExifImageWidth: size[0],
        base.ExifImageHeight: size[1],
    })  # fmt: skip
    gps = ExifTags.GPS
    exif.get_ifd(ifd.GPSInfo).update({
        gps.GPSVersionID: b"\x02\x04\x00\x00",
        gps.GPSLatitudeRef: "N" if tags.lat >= 0 else "S",
        gps.GPSLatitude: _sexagesimal(tags.lat),
        gps.GPSLongitudeRef: "E" if tags.lon >= 0 else "W",
        gps.GPSLongitude: _sexagesimal(tags.lon),
        gps.GPSAltitudeRef: b"\x02" if tags.height >= 0 else b"\x03",  # EXIF 3.0: from the ellipsoid
        gps.GPSAltitude: _ratio(abs(tags.height), 100_000),
        gps.GPSMapDatum: "WGS-84",
    })  # fmt: skip
    return exif


def _ratio(value: float, denominator: int) -> IFDRational:
    return IFDRational(round(value * denominator), denominator)


def _sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    """Degrees, minutes and seconds; the seconds to 1e-7, which is 3 micrometres."""
    rest = round(Fraction(abs(degrees)) * 36_000_000_000)
    whole, rest = divmod(rest, 36_000_000_000)
    minutes, seconds = divmod(rest, 600_000_000)
    return IFDRational(whole, 1), IFDRational(minutes, 1), IFDRational(seconds, 10_000_000)


def _xmp(tags: Tags) -> bytes:
    fields = {
        "AbsoluteAltitude": f"{tags.height:+.4f}",
        "RelativeAltitude": f"{tags.above_ground:+.4f}",
        "GpsLatitude": f"{tags.lat:.10f}",
        "GpsLongitude": f"{tags.lon:.10f}",
        "GimbalRollDegree": "+0.0000",
        "GimbalYawDegree": f"{_half_turn(tags.yaw_deg):+.4f}",
        "GimbalPitchDegree": f"{tags.pitch_deg:+.4f}",
        "FlightRollDegree": "+0.0000",
        "FlightYawDegree": f"{_half_turn(tags.yaw_deg):+.4f}",
        "FlightPitchDegree": "+0.0000",
        "RtkFlag": "50" if tags.rtk else "16",
    }
    lines = "\n".join(f"drone-dji:{name}={quoteattr(value)}" for name, value in fields.items())
    return _XMP.format(fields=lines).encode()


def _half_turn(degrees: float) -> float:
    """The angle within -180..180."""
    return (degrees + 180.0) % 360.0 - 180.0
