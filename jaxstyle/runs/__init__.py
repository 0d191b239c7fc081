"""A run and its folder: what is recorded, how it is resumed, and when it is finished."""
