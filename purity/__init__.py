"""How, and how well, diffusion models purify adversarial images."""
