"""The paper: "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016. Begin with README.md."""
