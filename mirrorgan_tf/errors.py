"""The error of the command line: a mistake that the user can mend."""

__all__ = ["UserError"]


class UserError(Exception):
    """A mistake that the user can mend; its text says what is wrong and how."""
