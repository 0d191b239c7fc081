"""Units of pixels: images are sRGB in [0, 1], the field's constants are in levels of 0–255."""

LEVELS = 255.0
GREY_LEVEL = 1 / LEVELS
"""The difference of two neighbouring 8-bit grey levels."""
