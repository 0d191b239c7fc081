"""What a file is by its first bytes, so that one that is not read is refused by its name."""

import re
from collections.abc import Mapping

ACCEPTED = "PNG, JPEG, TIFF, WebP, GIF, BMP, PPM, AVIF, JPEG 2000"

_SAVE = "save it as PNG or JPEG"
_VIDEO = "a video", "save one of its frames as PNG"
_DEVELOP = "a camera's raw file", "develop it, and save the image as PNG or JPEG"

_STARTS: Mapping[bytes, tuple[str, str]] = {
    b"\xff\x0a": ("JPEG XL", _SAVE),
    b"\0\0\0\x0cJXL ": ("JPEG XL", _SAVE),
    b"II\xbc": ("JPEG XR", _SAVE),
    b"8BPS": ("a Photoshop document (PSD)", _SAVE),
    b"gimp xcf": ("a GIMP image (XCF)", "export it as PNG or JPEG"),
    b"v/1\x01": ("OpenEXR", "tone-map it, and save it as PNG"),
    b"#?RADIANCE": ("Radiance HDR", "tone-map it, and save it as PNG"),
    b"#?RGBE": ("Radiance HDR", "tone-map it, and save it as PNG"),
    b"DDS ": ("a texture (DDS)", _SAVE),
    b"qoif": ("QOI", _SAVE),
    b"farbfeld": ("farbfeld", _SAVE),
    b"P7\n": ("PAM", _SAVE),
    b"\0\0\1\0": ("an icon (ICO)", _SAVE),
    b"SIMPLE  =": ("FITS", "scale it, and save it as PNG"),
    b"%PDF": ("a PDF document", "export the image as PNG"),
    b"%!PS": ("PostScript", "export the image as PNG"),
    b"\xc5\xd0\xd3\xc6": ("PostScript (EPS)", "export the image as PNG"),
    b"\x93NUMPY": ("a NumPy array", "give the array to jaxstyle.transfer, or save it as an image"),
    b"\x89HDF": ("HDF5", "save the image as PNG"),
    b"PK\3\4": ("a ZIP archive", "unpack it"),
    b"\x1f\x8b": ("gzip-compressed", "unpack it"),
    b"Rar!": ("a RAR archive", "unpack it"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "unpack it"),
    b"\x1aE\xdf\xa3": _VIDEO,
    b"version https://git-lfs": ("a Git LFS pointer, not the file itself", "run git lfs pull"),
    b"FUJIFILMCCD-RAW": _DEVELOP,
    b"IIU\0": _DEVELOP,
    b"IIRO": _DEVELOP,
    b"IIRS": _DEVELOP,
    b"MMOR": _DEVELOP,
    b"FOVb": _DEVELOP,
}

_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_BRANDS: Mapping[bytes, tuple[str, str]] = {
    **dict.fromkeys(_HEIF, ("HEIC", f"{_SAVE} (phones: set the camera to 'most compatible', or share it as JPEG)")),
    b"crx ": _DEVELOP,
    **dict.fromkeys((b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V "), _VIDEO),
}
"""ISO base media files, by their brands."""


def foreign_kind(data: bytes) -> tuple[str, str] | None:
    """What a file is that is not read, and what to do; None for those that are read, or that nobody knows."""
    if data[4:8] == b"ftyp":
        size = int.from_bytes(data[:4], "big")
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(size, 256), 4))]
        if {b"avif", b"avis"} & {*brands}:
            return None
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), ("HEIF", _SAVE))
    if data[:4] in (b"II*\0", b"MM\0*") and data[8:10] == b"CR":
        return _DEVELOP
    if kind := next((kind for start, kind in _STARTS.items() if data.startswith(start)), None):
        return kind
    text = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if re.match(rb"<!doctype html|<html|<head|<body", text):
        return "a web page", "get the image itself: the address of a page is not the image's"
    if re.match(rb"<svg|<\?xml[^<]*(<!--.*?-->|<!doctype[^>]*>|\s)*<svg", text, re.DOTALL):
        return "SVG", "export it as PNG"
    return None


def is_accepted(data: bytes) -> bool:
    """Whether a file begins as one of a kind that is read."""
    starts = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    starts += (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
    return data.startswith(starts) or data[8:12] == b"WEBP" or (data[4:8] == b"ftyp" and foreign_kind(data) is None)
