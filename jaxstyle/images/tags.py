"""What files say of their colours where Pillow does not: chunks, boxes, headers, EXIF.

Which of several wins is said by each format: docs/images.md.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxstyle.errors import JaxstyleError
from jaxstyle.images.colour import ADOBE_RGB, SRGB, Space, are_primaries, coded_space, decode, power
from jaxstyle.images.samples import Tags

PNG = b"\x89PNG\r\n\x1a\n"
"""How the file begins."""

UNSPECIFIED = 0xFFFF
"""What JPEG 2000 calls a band that is neither colour nor opacity."""

APPROXIMATE_SRGB = 0.45455
"""The gAMA that PNG's specification has writers of sRGB add (11.3.2.4); it stands for sRGB's curve."""

_PIXELS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
"""PNG's ancillary chunks without which other pixels are seen."""


_JPEG2000_COLOURS = {0, 12, 15, 16, 17, 18}
"""The enumerated colour spaces that Pillow decodes: two levels, CMYK, two levels, sRGB, grey, YCbCr."""


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yields a PNG's chunks: name, body, and whether the checksum is right. Ends where the file is cut."""
    place = len(PNG)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name, end = data[place + 4 : place + 8], place + 8 + length
        if end + 4 > len(data):
            return
        body = data[place + 8 : end]
        yield name, body, struct.unpack_from(">I", data, end)[0] == zlib.crc32(body, zlib.crc32(name))
        place = end + 4


def only_pixels(data: bytes, notes: list[str]) -> bytes:
    """A PNG without what does not decide its pixels, which may be broken without making it less of an image."""
    kept, place = [PNG], len(PNG)
    for name, body, is_whole in png_chunks(data):
        end = place + 12 + len(body)
        is_exif = name == b"eXIf" or (name == b"zTXt" and body.startswith(b"Raw profile type exif"))
        if name[0] & 32 == 0 or name in _PIXELS or (is_exif and is_whole and _can_inflate(name, body)):
            kept.append(data[place:end])
        elif not is_whole:
            notes.append(f"broken {name.decode('latin-1')} chunk ignored")
        place = end
    return b"".join([*kept, data[place:]])


def _can_inflate(name: bytes, body: bytes) -> bool:
    try:
        return name == b"eXIf" or bool(zlib.decompress(body.partition(b"\0")[2][1:]))
    except zlib.error:
        return False


def png_tags(data: bytes, notes: list[str]) -> Tags:
    """CICP, else the profile, else sRGB, else gamma and chromaticities (PNG specification, third edition, 4.3)."""
    found = {name: body for name, body, is_whole in reversed(list(png_chunks(data))) if is_whole}
    if body := found.get(b"cICP"):
        if space := _of_cicp(body):
            return Tags(space=space)
        notes.append(f"PNG's cICP {tuple(body)} cannot be used")
    gamma, *_ = *_hundred_thousandths(found.get(b"gAMA", b"")), None
    chromaticities = _hundred_thousandths(found.get(b"cHRM", b""))
    space = None if b"sRGB" in found else _of_gamma(gamma, chromaticities, notes)
    if b"iCCP" not in found:
        return Tags(space=space)
    try:
        return Tags(zlib.decompress(found[b"iCCP"].partition(b"\0")[2][1:]), space)
    except zlib.error:
        return Tags(b"", space)


def _hundred_thousandths(body: bytes) -> list[float]:
    return [value / 100_000 for (value,) in struct.iter_unpack(">I", body[: len(body) // 4 * 4])]


def _of_cicp(body: bytes) -> Space | None:
    primaries, transfer, matrix, is_full = body[:4] if len(body) >= 4 else (0, 0, 1, 1)
    space = coded_space("PNG's cICP", primaries, transfer)
    if space is None or matrix != 0:
        return None
    if is_full:
        return space
    linear = space.linear  # narrow range: black at 16, white at 235 of 255
    return Space(space.name, space.primaries, lambda values: linear(((values * 255 - 16) / 219).clip(0, 1)))


def _of_gamma(gamma: float | None, chromaticities: Sequence[float], notes: list[str]) -> Space | None:
    """What PNG's gAMA and cHRM say."""
    space = chromatic_space("PNG's cHRM", chromaticities, notes) if len(chromaticities) == 8 else None
    if gamma == 0:
        notes.append("PNG's gAMA of 0 ignored")
    elif gamma is not None and abs(gamma - APPROXIMATE_SRGB) > 1e-6:
        name = f"PNG's gAMA {gamma:g}{' and cHRM' if space else ''}"
        return Space(name, space.primaries if space else SRGB, power(1 / gamma))
    return space


def chromatic_space(source: str, chromaticities: Sequence[float], notes: list[str]) -> Space | None:
    """The space of sRGB's curve whose white, red, green and blue have these chromaticities, x and y of each."""
    white, red, green, blue = zip(chromaticities[::2], chromaticities[1::2], strict=True)
    if are_primaries((red, green, blue, white)):
        return Space(source, (red, green, blue, white), decode)
    notes.append(f"{source} names no colours and was ignored")
    return None


def space_of_info(info: Mapping[Any, Any], notes: list[str]) -> Space | None:
    """What Pillow kept of a PNG's tags beside the image."""
    return None if "srgb" in info else _of_gamma(info.get("gamma"), info.get("chromaticity", ()), notes)


def boxes(data: bytes, *path: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the boxes (ISO/IEC 14496-12, 4.2) within those that `path` leads to: name and body."""
    place = 0
    while place + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        header = 8
        if size == 1 and place + 16 <= len(data):
            (size,), header = struct.unpack_from(">Q", data, place + 8), 16
        end = place + size if size else len(data)
        if end < place + header:
            return
        body = data[place + header : end]
        if not path:
            yield name, body
        elif name == path[0]:
            yield from boxes(body[4:] if name == b"meta" else body, *path[1:])
        place = end


def avif_tags(data: bytes, profile: bytes | None, notes: list[str]) -> tuple[Tags, int]:
    """The primary image's tags, and its bits: the profile, else the code points (MIAF, 7.3.6.4)."""
    space, bits = None, 8
    for name, body in _primary_properties(data):
        if name == b"pixi" and len(body) > 5:
            bits = body[5]
        if name == b"colr" and body[:4] == b"nclx" and len(body) >= 8:
            primaries, transfer = struct.unpack_from(">2H", body, 4)
            space = coded_space("AVIF's nclx", primaries, transfer)
            if space is None and not profile:
                notes.append(f"AVIF's nclx (primaries {primaries}, transfer {transfer}) cannot be used")
    return Tags(profile, space), bits


def _primary_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    try:
        properties = list(boxes(data, b"meta", b"iprp", b"ipco"))
        (primary,) = (body for name, body in boxes(data, b"meta") if name == b"pitm")
        (item,) = struct.unpack_from(">H" if primary[0] == 0 else ">I", primary, 4)
        wanted = [index for body in _associations(data) for owner, index in _pairs(body) if owner == item]
        return [properties[index - 1] for index in wanted if 0 < index <= len(properties)]
    except (struct.error, ValueError, IndexError):
        return []


def _associations(data: bytes) -> Iterator[bytes]:
    return (body for name, body in boxes(data, b"meta", b"iprp") if name == b"ipma")


def _pairs(body: bytes) -> Iterator[tuple[int, int]]:
    """Items and the properties that they have (ISO/IEC 23008-12, 9.3)."""
    version, is_wide = body[0], body[3] & 1
    (count,), place = struct.unpack_from(">I", body, 4), 8
    for _ in range(count):
        (item,) = struct.unpack_from(">H" if version == 0 else ">I", body, place)
        place += 2 if version == 0 else 4
        of_item, place = body[place], place + 1
        for _ in range(of_item):
            (index,) = struct.unpack_from(">H" if is_wide else ">B", body, place)
            yield item, index & (0x7FFF if is_wide else 0x7F)
            place += 2 if is_wide else 1


def jpeg2000_tags(name: str, data: bytes) -> tuple[Tags, int, int | None]:
    """The tags, the bits, and what the last band is by JPEG 2000's channel definitions (ISO/IEC 15444-1, I.5.3.6).

    Raises:
      JaxstyleError: a colour space that is not read, such as L*a*b*.
    """
    start, bits = data.find(b"\xff\x4f\xff\x51"), 8
    if start >= 0 and start + 43 <= len(data):
        bits = (data[start + 42] & 0x7F) + 1
    profile, spaces, last = None, [], None
    for kind, body in boxes(data, b"jp2h") if data[4:8] == b"jP  " else ():
        if kind == b"colr" and body[:1] in (b"\2", b"\3"):
            profile = profile or body[3:]
        elif kind == b"colr" and body[:1] == b"\1" and len(body) >= 7:
            spaces.append(struct.unpack_from(">I", body, 3)[0])
        elif kind == b"cdef":
            *_, (_, last, _) = sorted(struct.iter_unpack(">3H", body[2 : 2 + (len(body) - 2) // 6 * 6]))
    if spaces and not profile and not _JPEG2000_COLOURS & {*spaces}:
        raise JaxstyleError(f"{name}: JPEG 2000's colour space {spaces[0]} is not read; save it as RGB")
    return Tags(profile), bits, last


def bmp_profile(data: bytes, notes: list[str]) -> bytes | None:
    """The profile of a BMP whose header has room for one (BITMAPV5HEADER)."""
    (size,) = struct.unpack_from("<I", data, 14)
    kind = data[70:74] if size >= 108 else b"BGRs"
    if kind == b"DEBM" and size >= 124:
        start, length = struct.unpack_from("<2I", data, 14 + 112)
        return data[14 + start : 14 + start + length]
    if kind == b"KNIL":
        notes.append("the profile that BMP names is in another file and was not used")
    elif kind == bytes(4) and any(data[74:110]):
        notes.append("BMP's colour endpoints were not used")
    return None


def exif_space(kind: object, index: object, notes: list[str]) -> Space | None:
    """What a camera says of the colours: Adobe RGB by ColorSpace 2 or by DCF's interoperability index R03."""
    if kind == 2 or str(index or "").startswith("R03"):
        return Space("EXIF's Adobe RGB", ADOBE_RGB, power(563 / 256))
    if kind == 0xFFFF:
        notes.append("EXIF says that its colours are not sRGB, and not what they are")
    return None
