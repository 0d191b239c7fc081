"""The paper's panels out of a PDF that the test makes: by page, size and reading order, whole or not at all."""

import numpy as np
import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, NumberObject, StreamObject

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import gallery, printed, read_image, write_image
from jaxstyle.images.pdf import embedded_images
from jaxstyle.images.printed import Group

SMALL = (
    Group(1, 16, 12, ("fig4-1e-4", "fig4-1e-3", "fig4-1e-2", "fig4-1e-1")),
    Group(2, 8, 6, ("fig3-b", "")),
)
LEVELS = {"fig4-1e-4": 0.2, "fig4-1e-3": 0.4, "fig4-1e-2": 0.6, "fig4-1e-1": 0.8, "fig3-b": 0.5, "copy": 0.1}


def jpeg(tmp_path, level, width, height):
    path = tmp_path / "made.jpg"
    write_image(path, np.full((height, width, 3), level))
    return path.read_bytes()


def image(writer, data, width, height, *, filter="/DCTDecode", space="/DeviceRGB", **more):
    stream = StreamObject()
    stream.set_data(data)
    facts = {"/Type": "/XObject", "/Subtype": "/Image", "/Filter": filter, "/ColorSpace": space}
    stream.update({NameObject(key): NameObject(name) for key, name in facts.items() if name})
    numbers = {"/Width": width, "/Height": height, "/BitsPerComponent": 8}
    stream.update({NameObject(key): NumberObject(number) for key, number in numbers.items()})
    stream.update({NameObject(key): found for key, found in more.items()})
    return writer._add_object(stream)


def resources(objects):
    named = DictionaryObject({NameObject(f"/{name}"): found for name, found in objects.items()})
    return DictionaryObject({NameObject("/XObject"): named})


def add_page(writer, objects, content):
    page = writer.add_blank_page(600, 800)
    page[NameObject("/Resources")] = resources(objects)
    stream = DecodedStreamObject()
    stream.set_data(content.encode())
    page[NameObject("/Contents")] = writer._add_object(stream)


def paper(tmp_path, *, leave_out="", cmyk=False):
    """Two pages: images in an order that is not the reading order, one within a form, one drawn twice."""
    writer = pypdf.PdfWriter()
    panels = {name: image(writer, jpeg(tmp_path, LEVELS[name], 16, 12), 16, 12) for name in SMALL[0].names}
    form = DecodedStreamObject()
    form.set_data(b"q 100 0 0 75 10 5 cm /P Do Q")
    form.update({NameObject("/Type"): NameObject("/XObject"), NameObject("/Subtype"): NameObject("/Form")})
    form[NameObject("/Resources")] = resources({"P": panels["fig4-1e-3"]})
    objects = {"R1": panels["fig4-1e-1"], "R2": panels["fig4-1e-4"], "R3": writer._add_object(form)}
    objects |= {"R4": panels["fig4-1e-2"]} if leave_out != "fig4-1e-2" else {}
    drawn = "q 100 0 0 75 320 500 cm /R1 Do Q q 100 0 0 75 200 600 cm /R2 Do Q "
    drawn += "q 1 0 0 1 300 597 cm /R3 Do Q "  # three points lower than its neighbour, of the same row
    drawn += "q 100 0 0 75 200 501 cm /R4 Do Q q 10 0 0 7 0 790 cm /R4 Do Q" if "R4" in objects else ""
    add_page(writer, objects, drawn)
    levels = np.full((6, 8, 3), round(255 * LEVELS["fig3-b"]), np.uint8)
    raw = image(writer, levels.tobytes(), 8, 6, filter=None, space="/DeviceCMYK" if cmyk else "/DeviceRGB")
    copy = image(writer, jpeg(tmp_path, LEVELS["copy"], 8, 6), 8, 6)
    add_page(writer, {"A": copy, "B": raw}, "q 50 0 0 40 0 0 cm /A Do Q q 50 0 0 40 0 100 cm /B Do Q")
    path = tmp_path / "paper.pdf"
    writer.write(path)
    return path


@pytest.fixture
def small(monkeypatch):
    """A small paper's registry."""
    monkeypatch.setattr(printed, "groups", lambda: SMALL)


@pytest.mark.usefixtures("small")
def test_panels_come_out_under_their_names(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    fates = printed.from_pdf(paper(tmp_path), folder)
    assert list(fates) == ["fig4-1e-4.jpg", "fig4-1e-3.jpg", "fig4-1e-2.jpg", "fig4-1e-1.jpg", "fig3-b.png"]
    assert {*fates.values()} == {"written"}
    for name in fates:
        level = LEVELS[name.rpartition(".")[0]]
        assert read_image(folder / name).pixels.mean() == pytest.approx(level, abs=0.01)  # JPEG, 8 bits
    assert {*printed.from_pdf(tmp_path / "paper.pdf", folder).values()} == {"here already"}


@pytest.mark.usefixtures("small")
def test_another_file_of_that_name_stays(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "fig4-1e-4.jpg").write_bytes(b"mine")
    assert printed.from_pdf(paper(tmp_path), folder)["fig4-1e-4.jpg"].startswith("left alone")
    assert (folder / "fig4-1e-4.jpg").read_bytes() == b"mine"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leave_out": "fig4-1e-2"}, r"paper\.pdf: page 1: images of 16×12: found 3, where the paper's PDF .* has 4"),
        ({"cmyk": True}, r"paper\.pdf: page 2: images of 8×6: /B is neither RGB nor JPEG"),
    ],
)
def test_what_cannot_be_identified_is_refused_and_nothing_is_written(tmp_path, options, message):
    folder = tmp_path / "images"
    folder.mkdir()
    with pytest.raises(JaxstyleError, match=message):
        printed.from_pdf(paper(tmp_path, **options), folder)
    assert [*folder.iterdir()] == []


@pytest.mark.usefixtures("small")
def test_too_few_pages_are_refused(tmp_path):
    writer = pypdf.PdfWriter()
    writer.add_blank_page(10, 10)
    writer.write(tmp_path / "short.pdf")
    with pytest.raises(JaxstyleError, match=r"page 1: images of 16×12: found 0.*of 1 pages; sizes on this one: none"):
        printed.from_pdf(tmp_path / "short.pdf", tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"not a PDF", b"%PDF-1.5\n1 0 obj\n<< /Type /Catalog /Pages 1 0 R >>\nendobj"]
)
def test_a_file_that_is_no_pdf_is_answered(tmp_path, content):
    path = tmp_path / "a.pdf"
    path.write_bytes(content)
    with pytest.raises(JaxstyleError, match=r"a\.pdf: cannot be read as a PDF"):
        embedded_images(path)
    with pytest.raises(JaxstyleError, match=r"b\.pdf: no such file"):
        embedded_images(tmp_path / "b.pdf")


def test_a_pdf_that_is_cut_off_gives_an_answer_or_its_images(tmp_path):
    data = paper(tmp_path).read_bytes()
    path = tmp_path / "cut.pdf"
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        try:
            assert isinstance(embedded_images(path), list)
        except JaxstyleError as error:
            assert str(error).startswith(f"{path}: cannot be read as a PDF")  # noqa: PT017


def test_the_registry_is_of_one_piece():
    names = [name for group in printed.groups() for name in group.names if name]
    assert len({*names}) == len(names)
    sources = {name for name in names if not printed.figure_of(name)}
    assert sources <= {entry.name for entry in gallery.entries()}
    measured = {panel.name for panel in printed.panels() if panel.correlation is not None}
    assert measured == {*printed._facts()["measured"]}
    assert printed.named("paper:fig4") == ["fig4-1e-4", "fig4-1e-3", "fig4-1e-2", "fig4-1e-1"]
    assert printed.named("paper:fig4-1e-3") == ["fig4-1e-3"]
    assert printed.panel("paper:fig4-1e-3").correlation == 0.396


def test_an_unknown_or_absent_panel_is_answered(tmp_path, monkeypatch):
    monkeypatch.setenv(gallery.ENVIRONMENT, str(tmp_path))
    with pytest.raises(
        JaxstyleError, match=r"unknown panel 'paper:fig4-1e-33'; did you mean 'fig4-1e-3'\?.*fig1-style"
    ):
        printed.named("paper:fig4-1e-33")
    with pytest.raises(JaxstyleError, match="jaxstyle images from-paper"):
        printed.find("fig4-1e-3")
    write_image(tmp_path / "FIG4-1e-3.png", np.zeros((4, 4, 3)))
    assert printed.find("paper:fig4-1e-3") == tmp_path / "FIG4-1e-3.png"
