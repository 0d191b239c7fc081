"""Members of zip files, none of which is larger than the file itself."""

import io
import zipfile

from jaxstyle.errors import JaxstyleError


def is_zip(data: bytes) -> bool:
    """Whether the bytes begin like a zip file."""
    return data.startswith(b"PK\x03\x04")


def open_zip(data: bytes) -> zipfile.ZipFile:
    """Opens a zip file.

    Raises:
      JaxstyleError: its directory, which lies at the end, is missing or damaged.
    """
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise JaxstyleError(f"a zip file that is damaged or truncated ({error}); download it again.") from error


def member_names(data: bytes) -> list[str]:
    """Returns the names of a zip file's members."""
    with open_zip(data) as archive:
        return archive.namelist()


def read_stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """Returns a member that is stored as it is: its size cannot exceed the file's.

    Raises:
      JaxstyleError: it is missing, compressed, or its checksum is another one.
    """
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise JaxstyleError(f"the member {name!a} is missing: the file is damaged.") from None
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise JaxstyleError(f"the member {name!a} is compressed; PyTorch and Keras store members as they are.")
    try:
        return archive.read(member)
    except zipfile.BadZipFile as error:
        raise JaxstyleError(f"the file is damaged ({error}); download it again.") from error
