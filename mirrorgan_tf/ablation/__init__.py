"""The paper's claims, put to the test: GLAM with and without its parts."""
