"""Picture files to and from float32 `[height, width, 3]`, sRGB in [0, 1]; the only user of Pillow and tifffile."""

from jaxstyle.images.given import picture_of, picture_of_array
from jaxstyle.images.reading import Picture, read_metadata, read_picture
from jaxstyle.images.resizing import (
    area_shape,
    carry_to,
    fit_mask,
    fit_shape,
    fit_style,
    long_side_shape,
    resize_long_side,
    resize_to,
)
from jaxstyle.images.writing import encode_png, output_format, write_picture

__all__ = [
    "Picture",
    "area_shape",
    "carry_to",
    "encode_png",
    "fit_mask",
    "fit_shape",
    "fit_style",
    "long_side_shape",
    "output_format",
    "picture_of",
    "picture_of_array",
    "read_metadata",
    "read_picture",
    "resize_long_side",
    "resize_to",
    "write_picture",
]
