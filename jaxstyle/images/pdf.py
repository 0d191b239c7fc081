"""The images that a PDF embeds, in reading order; the only user of pypdf."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.errors import JaxstyleError

Matrix = tuple[float, float, float, float, float, float]
"""a b c d e f of PDF's transformation [a b 0; c d 0; e f 1] (ISO 32000-2, 8.3.3)."""

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_DEEPEST = 16
"""Forms within forms, beyond which a file is damaged."""
_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What pypdf raises of a damaged file besides its own errors."""


@dataclasses.dataclass(frozen=True)
class Embedded:
    """An image on a page.

    Attributes:
      name: of the object in the page's resources.
      width: in pixels.
      height: in pixels.
      left: where it is drawn, in points from the page's left edge.
      middle: the height of its center above the page's lower edge, in points.
      tall: in points.
      stream: the PDF object.
    """

    name: str
    width: int
    height: int
    left: float
    middle: float
    tall: float
    stream: Any

    @property
    def pixels(self) -> np.ndarray | None:
        """The image as floating point sRGB, where it is stored without loss as 8 bits of RGB."""
        if "/DCTDecode" in self._filters or self.stream.get("/ColorSpace") != "/DeviceRGB":
            return None
        levels = np.frombuffer(self.stream.get_data(), np.uint8)
        wanted = self.width * self.height * 3
        if self.stream.get("/BitsPerComponent") != 8 or levels.size < wanted:
            return None
        return levels[:wanted].reshape(self.height, self.width, 3).astype(np.float32) / 255

    @property
    def jpeg(self) -> bytes | None:
        """The JPEG file that is embedded as it was, where there is one whose colours need no conversion."""
        plain = self.stream.get("/ColorSpace") in ("/DeviceRGB", "/DeviceGray") and "/Decode" not in self.stream
        return bytes(self.stream.get_data()) if self._filters == ["/DCTDecode"] and plain else None

    @property
    def _filters(self) -> list[str]:
        found = self.stream.get("/Filter", [])
        return [str(name) for name in (found if isinstance(found, list) else [found])]


def embedded_images(path: Path) -> list[list[Embedded]]:
    """Returns every page's images, each once, in the order in which they are drawn.

    Raises:
      JaxstyleError: pypdf is not installed, or it is no PDF that can be read.
    """
    try:
        import pypdf
        from pypdf.errors import PyPdfError
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pypdf":
            raise
        raise JaxstyleError("reading a PDF needs pypdf: pip install 'jaxstyle[paper]'") from None
    if not path.is_file():
        raise JaxstyleError(f"{path}: no such file")
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what is wrong with a file is said below
    try:
        reader = pypdf.PdfReader(path)
        return [_once(_on_page(page)) for page in reader.pages]
    except (PyPdfError, *_DAMAGE) as error:
        raise JaxstyleError(f"{path}: cannot be read as a PDF: {error or type(error).__name__}") from None


def in_reading_order(images: Sequence[Embedded]) -> list[Embedded]:
    """Sorts images of one size into rows from the top, and each row from the left.

    An image whose center is less than half its height below a row's first one belongs to that row.
    """
    rows: list[list[Embedded]] = []
    for image in sorted(images, key=lambda each: -each.middle):
        if rows and rows[-1][0].middle - image.middle < rows[-1][0].tall / 2:
            rows[-1].append(image)
        else:
            rows.append([image])
    return [image for row in rows for image in sorted(row, key=lambda each: each.left)]


def _once(images: Iterable[Embedded]) -> list[Embedded]:
    """Images that are drawn several times, such as whole and enlarged, count where they are drawn first."""
    first: dict[int, Embedded] = {}
    for image in images:
        reference = image.stream.indirect_reference
        first.setdefault(reference.idnum if reference else id(image.stream), image)
    return list(first.values())


def _on_page(page: Any) -> Iterator[Embedded]:
    content = page.get_contents()
    if content is not None:
        yield from _drawn(content, page.get("/Resources", {}).get_object(), IDENTITY, 0)


def _drawn(content: Any, resources: Any, place: Matrix, depth: int) -> Iterator[Embedded]:
    """Yields what a content stream draws: `q` and `Q` keep and restore the place, `cm` moves it, `Do` draws."""
    from pypdf.generic import ContentStream

    if depth > _DEEPEST:
        raise ValueError("forms within forms without an end")
    kept: list[Matrix] = []
    for operands, operator in ContentStream(content, getattr(content, "pdf", None)).operations:
        match operator:
            case b"q":
                kept.append(place)
            case b"Q":
                place = kept.pop() if kept else place
            case b"cm":
                place = _product(_matrix(operands), place)
            case b"Do":
                drawn = resources["/XObject"][operands[0]].get_object()
                if drawn["/Subtype"] == "/Image":
                    yield _placed(str(operands[0]), drawn, place)
                elif drawn["/Subtype"] == "/Form":
                    inner = _product(_matrix(drawn.get("/Matrix", IDENTITY)), place)
                    own = drawn.get("/Resources", resources).get_object()
                    yield from _drawn(drawn, own, inner, depth + 1)


def _placed(name: str, stream: Any, place: Matrix) -> Embedded:
    """An image fills the unit square of its place."""
    a, b, c, d, e, f = place
    left, middle, tall = min(e, e + a, e + c, e + a + c), f + (b + d) / 2, abs(b) + abs(d)
    return Embedded(name, int(stream["/Width"]), int(stream["/Height"]), left, middle, tall, stream)


def _matrix(numbers: Sequence[Any]) -> Matrix:
    a, b, c, d, e, f = map(float, numbers)
    return a, b, c, d, e, f


def _product(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    k, m, n, p, q, r = then
    return a * k + b * n, a * m + b * p, c * k + d * n, c * m + d * p, e * k + f * n + q, e * m + f * p + r
