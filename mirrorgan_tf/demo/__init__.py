"""A web page that shows what a model generates: `mirrorgan demo`."""
