"""`--devices`: over how many devices of this machine an image is spread."""

from jaxstyle.devices.sharding import count_devices
from jaxstyle.errors import JaxstyleError

ONE = "1"


def number_or_word(text: str) -> int | str:
    """A whole number as one, anything else as it is.

    Examples:
      >>> number_or_word("2"), number_or_word("all")
      (2, 'all')
    """
    return int(text) if text.isascii() and text.isdecimal() else text


def parse_devices(text: str, *, lanes: int | str | None = None, here: bool = True) -> int:
    """The number that was asked for.

    Args:
      text: a number, or `all`.
      lanes: how many members were asked to run at once.
      here: whether members are computed in this process.

    Raises:
      JaxstyleError: it is neither, there are not so many, or another option does not go with it.
    """
    if not here:
        if text != ONE:
            raise JaxstyleError(f"--devices: belongs to --engine local; found --devices {text}")
        return 1
    count = count_devices(number_or_word(text))
    if count > 1 and lanes not in (None, 1):
        raise JaxstyleError(
            f"--lanes: members that are spread over devices go one after another; found --lanes {lanes}"
        )
    return count
