"""The networks: STEM, GLAM, discriminators, STREAM."""
