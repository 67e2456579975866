"""What a drone writes into a photo's XMP: gimbal and flight angles, heights, RTK."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeTree

from geolab.errors import one_line

LARGEST_BYTES = 1 << 20

# DJI's names (others have taken them over, under namespaces of their own): ours, and what is possible.
FIELDS: dict[str, tuple[str, float, float]] = {
    "GimbalYawDegree": ("gimbal_yaw_deg", -360, 360),
    "GimbalPitchDegree": ("gimbal_pitch_deg", -180, 180),
    "GimbalRollDegree": ("gimbal_roll_deg", -360, 360),
    "FlightYawDegree": ("flight_yaw_deg", -360, 360),
    "FlightPitchDegree": ("flight_pitch_deg", -180, 180),
    "FlightRollDegree": ("flight_roll_deg", -360, 360),
    "RelativeAltitude": ("relative_altitude_m", -10_000, 100_000),
    "AbsoluteAltitude": ("absolute_altitude_m", -10_000, 100_000),
    "RtkFlag": ("rtk_flag", 0, 1000),
    "RtkStdLon": ("rtk_std_lon_m", 0, 1e6),
    "RtkStdLat": ("rtk_std_lat_m", 0, 1e6),
    "RtkStdHgt": ("rtk_std_height_m", 0, 1e6),
    "CalibratedFocalLength": ("calibrated_focal_px", 1, 1e6),
}


def read_xmp(packet: object, warnings: list[str]) -> dict[str, float]:
    """The numbers of FIELDS found in an XMP packet, by our names; impossible ones are left out.

    packet: bytes or text, or None. Entities and external references are refused, not expanded.
    """
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "replace")
    if not isinstance(packet, bytes) or not packet.strip(b"\0 \r\n\t"):
        return {}
    if len(packet) > LARGEST_BYTES:
        warnings.append(f"the XMP is not read: {len(packet)} bytes, more than {LARGEST_BYTES}")
        return {}
    try:
        root = SafeTree.fromstring(packet.strip(b"\0 \r\n\t"))
    except DefusedXmlException as error:
        warnings.append(f"the XMP is not read, it declares entities: {type(error).__name__}")
        return {}
    except (ParseError, ValueError, LookupError) as error:
        warnings.append(f"the XMP is damaged and can't be read: {one_line(error, 80)}")
        return {}
    return _numbers(_texts(root), warnings)


def _texts(root: Element) -> dict[str, str]:
    """Attributes and elements by their local names: a property may be written either way."""
    found: dict[str, str] = {}
    for element in root.iter():
        for key, value in _pairs(element):
            name = key.rsplit("}", 1)[-1]
            if name in FIELDS:
                found.setdefault(name, value)
    return found


def _pairs(element: Element) -> list[tuple[str, str]]:
    tag = element.tag if isinstance(element.tag, str) else ""  # comments have functions as tags
    return [*element.attrib.items(), (tag, (element.text or "").strip())]


def _numbers(texts: Mapping[str, str], warnings: list[str]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, written in texts.items():
        ours, lowest, highest = FIELDS[name]
        value = _number(written)
        if lowest <= value <= highest:
            numbers[ours] = value
        else:
            warnings.append(f"XMP {name} is '{one_line(written, 30)}'; not used")
    return numbers


def _number(written: Any) -> float:
    try:
        return float(written)  # '+95.20', as DJI writes it, too
    except ValueError:
        return math.nan
