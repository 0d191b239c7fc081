"""Image style transfer by optimization."""
