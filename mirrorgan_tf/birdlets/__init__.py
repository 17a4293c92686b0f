"""birdlets: captioned pictures of birds that this package draws itself."""
