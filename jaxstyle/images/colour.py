"""Colour by numbers: primaries, curves and L*a*b* → sRGB."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

Convert = Callable[[np.ndarray], np.ndarray]
"""Values `[..., bands]` in [0, 1] → sRGB `[..., 3]` in [0, 1], both float32."""

CHANGES_NOTHING = 0.5 / 255
"""A conversion that moves no colour by half a level of 8 bits is left out, so that sRGB stays what it is to the bit."""

PIXELS_AT_ONCE = 1 << 20
"""Bounds what a conversion takes besides its input and its result."""

D65 = (0.3127, 0.3290)
D50_XYZ = (0.9642, 1.0, 0.8249)
"""The white of ICC profiles' connection space (ICC.1, 7.2.16)."""

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Primaries = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""The chromaticities (x, y) of red, green, blue and white."""

SRGB: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
ADOBE_RGB: Primaries = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)

PRIMARIES: Mapping[int, Primaries] = {
    1: SRGB,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3)),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
"""By their code points (ITU-T H.273, Table 2)."""

REFERENCE_WHITE = 203.0
"""cd/m²: the white of paper in HDR images (ITU-R BT.2408), which becomes sRGB's white; what is brighter is cut."""


@dataclasses.dataclass(frozen=True)
class Space:
    """What RGB values mean.

    Attributes:
      name: for notes.
      primaries: of the light.
      linear: values `[..., 3]` in [0, 1] → light, 1 being white.
      is_hdr: whether there is light beyond white.
    """

    name: str
    primaries: Primaries
    linear: Convert
    is_hdr: bool = False

    def to_srgb(self) -> Convert:
        """The conversion to sRGB."""
        return through_matrix(self.linear, np.linalg.inv(_to_xyz(SRGB)) @ _adapted(self.primaries))


def encode(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] → sRGB (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def decode(values: np.ndarray) -> np.ndarray:
    """SRGB → linear light, both in [0, 1] (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4)


def power(exponent: float) -> Convert:
    """The curve of a display with that gamma."""
    return lambda values: values ** np.float32(exponent)


def through_matrix(linear: Convert, matrix: Float[np.ndarray, "3 3"]) -> Convert:
    """The conversion to sRGB whose light is found by `linear`, and is linear sRGB after `matrix`."""
    transposed = matrix.T.astype(np.float32)
    return lambda values: encode((linear(values).astype(np.float32) @ transposed).clip(0, 1)).astype(np.float32)


def from_pcs() -> Float[np.ndarray, "3 3"]:
    """XYZ relative to D50, as profiles connect → linear sRGB."""
    return np.linalg.inv(_to_xyz(SRGB)) @ _adaptation(np.array(D50_XYZ), _xyz(D65))


def lab_to_srgb(lab: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """CIE L*a*b* relative to D50, L* from 0 to 100 → sRGB."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = lightness_to_light(f) * np.array(D50_XYZ, np.float32)
    return through_matrix(lambda light: light, from_pcs())(xyz)


def lightness_to_light(f: np.ndarray) -> np.ndarray:
    """The inverse of L*a*b*'s cube root, f = (L* + 16) / 116 (CIE 15:2004, 8.2.1)."""
    return np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))


def coded_space(source: str, primaries: int, transfer: int) -> Space | None:
    """The space of a pair of code points (ITU-T H.273), as in PNG's cICP and AVIF's nclx; None if it is not known.

    BT.709's curve (1, 6, 14, 15) is a camera's. What is meant to be seen is what the display shows, so these values,
    like unspecified ones (2), are taken as sRGB's.
    """
    red_green_blue = PRIMARIES.get(1 if primaries == 2 else primaries)
    linear = _TRANSFERS.get(transfer)
    if red_green_blue is None or linear is None:
        return None
    name = f"{source} (primaries {primaries}, transfer {transfer})"
    return Space(name, red_green_blue, linear, is_hdr=transfer in (16, 18))


def changes(convert: Convert, bands: int) -> bool:
    """Whether a conversion moves any colour of a lattice by half a level of 8 bits or more."""
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    greys = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[:, None], bands, axis=1)
    lattice = np.concatenate([np.stack(np.meshgrid(*[steps] * bands), axis=-1).reshape(-1, bands), greys])
    return bool(np.abs(convert(lattice[None])[0] - lattice).max() >= CHANGES_NOTHING)


def by_rows(convert: Convert, values: Float[np.ndarray, "height width bands"]) -> Float[np.ndarray, "height width 3"]:
    """Converts some rows at a time."""
    height, width = values.shape[:2]
    converted = np.empty((height, width, 3), np.float32)
    rows = max(1, PIXELS_AT_ONCE // width)
    for top in range(0, height, rows):
        converted[top : top + rows] = convert(values[top : top + rows])
    return converted


def are_primaries(chromaticities: Primaries) -> bool:
    """Whether light of these colours mixes to that white."""
    try:
        return bool(np.linalg.solve(_columns(chromaticities), _xyz(chromaticities[3])).min() > 0)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return False


def _xyz(xy: Sequence[float]) -> np.ndarray:
    x, y = xy
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _to_xyz(primaries: Primaries) -> np.ndarray:
    """Linear RGB → XYZ, so that (1, 1, 1) is the white."""
    columns = _columns(primaries)
    return columns * np.linalg.solve(columns, _xyz(primaries[3]))


def _columns(primaries: Primaries) -> np.ndarray:
    return np.array([[x, y, 1 - x - y] for x, y in primaries[:3]]).T


def _adapted(primaries: Primaries) -> np.ndarray:
    return _adaptation(_xyz(primaries[3]), _xyz(D65)) @ _to_xyz(primaries)


def _adaptation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """XYZ under one white → XYZ under another (Bradford, as ICC.1 recommends in its Annex E)."""
    scale = (_BRADFORD @ target) / (_BRADFORD @ source)
    return np.linalg.inv(_BRADFORD) @ (scale[:, None] * _BRADFORD)


def _smpte_240m(values: np.ndarray) -> np.ndarray:
    return np.where(values < 4 * 0.0228, values / 4, ((values + 0.1115) / 1.1115) ** (1 / 0.45))


def _perceptual_quantizer(values: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084 (BT.2100, Table 4), in units of the reference white."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = values.astype(np.float64) ** (1 / m2)
    return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * (10_000 / REFERENCE_WHITE)


def _hybrid_log_gamma(values: np.ndarray) -> np.ndarray:
    """BT.2100, Table 5, on a display of 1000 cd/m², in units of the reference white."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    return scene * (1000 / REFERENCE_WHITE) * luminance[..., None] ** 0.2


_TRANSFERS: Mapping[int, Convert] = {
    **dict.fromkeys((1, 2, 6, 13, 14, 15), decode),
    4: power(2.2),
    5: power(2.8),
    7: _smpte_240m,
    8: lambda values: values,
    16: _perceptual_quantizer,
    17: lambda values: 52.37 / 48 * values**2.6,
    18: _hybrid_log_gamma,
}
"""Values → light, by their code points (ITU-T H.273, Table 3)."""
