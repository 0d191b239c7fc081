"""Image files to and from float32 `[height, width, 3]`, sRGB in [0, 1]; the only user of Pillow and tifffile."""

from jaxstyle.images.given import image_of, image_of_array
from jaxstyle.images.reading import LoadedImage, read_image, read_metadata
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
from jaxstyle.images.writing import encode_jpeg, encode_png, output_format, write_image

__all__ = [
    "LoadedImage",
    "area_shape",
    "carry_to",
    "encode_jpeg",
    "encode_png",
    "fit_mask",
    "fit_shape",
    "fit_style",
    "image_of",
    "image_of_array",
    "long_side_shape",
    "output_format",
    "read_image",
    "read_metadata",
    "resize_long_side",
    "resize_to",
    "write_image",
]
