"""Programs that are run by hand, for minutes or hours."""
