"""Image files written by their specifications, apart from the code that is tested."""

import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

# Published colorants, adapted to D50 by Bradford's matrix; the columns are red, green and blue (B. Lindbloom).
SRGB_COLORANTS = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
ADOBE_COLORANTS = np.array(
    [[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197], [0.0194811, 0.0608902, 0.7448387]]
)
P3_COLORANTS = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])

# Linear light of one gamut to another, as published (W3C CSS Color 4; ITU-R BT.2087).
P3_TO_SRGB = np.array([[1.2249402, -0.2249402, 0], [-0.0420570, 1.0420570, 0], [-0.0196376, -0.0786361, 1.0982735]])
BT2020_TO_SRGB = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def encode(light: np.ndarray) -> np.ndarray:
    """Linear light → sRGB."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def decode(values: np.ndarray) -> np.ndarray:
    """SRGB → linear light."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def in_srgb(light: np.ndarray, colorants: np.ndarray) -> np.ndarray:
    """Linear light of a gamut, by its colorants, → sRGB."""
    return encode(light @ (np.linalg.inv(SRGB_COLORANTS) @ colorants).T)


# ICC profiles (ICC.1)

SRGB_CURVE = (3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""A parametric curve: its kind and its numbers."""


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(65536 * number) for number in numbers))


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma))


def table_curve(light: Sequence[float] | np.ndarray) -> bytes:
    return b"curv" + struct.pack(">2I", 0, len(light)) + (np.asarray(light) * 65535).round().astype(">u2").tobytes()


def parametric_curve(kind: int, *numbers: float) -> bytes:
    return b"para" + struct.pack(">I2H", 0, kind, 0) + _fixed(*numbers)


LINEAR = b"curv" + bytes(8)


def profile(name: str, space: bytes, tags: Mapping[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    text = name.encode() + b"\0"
    described = b"desc" + struct.pack(">2I", 0, len(text)) + text + bytes(78)
    white = b"XYZ " + bytes(4) + _fixed(0.9642, 1, 0.8249)
    bodies = {b"desc": described, b"wtpt": white, b"cprt": b"text" + bytes(4) + b"none\0", **tags}
    entries, data, place = b"", b"", 132 + 12 * len(bodies)
    for tag, body in bodies.items():
        entries += tag + struct.pack(">2I", place + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    header = struct.pack(">I4s4s4s4s4s", place + len(data), bytes(4), b"\2\x40\0\0", b"mntr", space, connection)
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(0.9642, 1, 0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(bodies)) + entries + data


def rgb_profile(name: str, colorants: np.ndarray, curve: bytes) -> bytes:
    columns = {b"rXYZ": colorants[:, 0], b"gXYZ": colorants[:, 1], b"bXYZ": colorants[:, 2]}
    tags = {tag: b"XYZ " + bytes(4) + _fixed(*column) for tag, column in columns.items()}
    return profile(name, b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def grey_profile(name: str, curve: bytes, connection: bytes = b"XYZ ") -> bytes:
    return profile(name, b"GRAY", {b"kTRC": curve}, connection)


def cmyk_profile(name: str, lab_of_inks: np.ndarray) -> bytes:
    """A profile of tables with two steps of each ink; `[2, 2, 2, 2, 3]` L*, a*, b*."""
    lab = (lab_of_inks * [2.55, 1, 1] + [0, 128, 128]).round().astype(np.uint8)
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return profile(name, b"CMYK", {b"A2B0": table + 4 * ramp + lab.tobytes() + 3 * ramp}, b"Lab ")


# PNG


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(samples: np.ndarray, colour_type: int, extra: bytes = b"", *, bits: int = 16, behind: bytes = b"") -> bytes:
    """Samples `[height, width, bands]`; `extra` chunks stand before the pixels, `behind` after them."""
    height, width = samples.shape[:2]
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in samples]
    else:
        digits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
        rows = [np.packbits(row).tobytes() for row in digits.reshape(height, -1)]
    header = struct.pack(">2I5B", width, height, bits, colour_type, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    chunks = png_chunk(b"IHDR", header) + extra + pixels + behind + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_profile(data: bytes) -> bytes:
    return png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(data))


def png_gamma(gamma: float) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", round(100_000 * gamma)))


def png_chromaticities(*numbers: float) -> bytes:
    """White, red, green and blue, x and y of each."""
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * number) for number in numbers)))


# Other formats


def lzw(data: bytes) -> bytes:
    """TIFF's LZW without any compression: every byte as it is, and the table cleared before codes grow to 10 bits."""
    codes = []
    for place in range(0, len(data), 250):
        codes += [256, *data[place : place + 250]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[place : place + 8], 2) for place in range(0, len(bits), 8))


def tiff(tags: Mapping[int, int | bytes], pixels: bytes) -> bytes:
    """A TIFF of one strip: its tags by number, of numbers or of bytes; where the strip is is added."""
    entries, data = {273: 8, 279: len(pixels), **tags}, pixels + bytes(len(pixels) % 2)
    directory = struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        if isinstance(value, bytes):
            place, data = 8 + len(data), data + value + bytes(len(value) % 2)
            directory += struct.pack("<HHII", tag, 7, len(value), place)
        else:
            directory += struct.pack("<HHII", tag, 4, 1, value)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4)


def box(kind: bytes, *bodies: bytes) -> bytes:
    """A box of AVIF or JPEG 2000."""
    body = b"".join(bodies)
    return struct.pack(">I", 8 + len(body)) + kind + body
