"""One experiment from images to the result: scales, targets, optimization, measurements; nothing is written."""
