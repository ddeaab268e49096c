"""The avatar family: a StyleGAN2 generator of faces and figures."""
