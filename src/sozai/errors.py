"""The one exception a user's mistake raises."""

from __future__ import annotations


class UserError(Exception):
    """A mistake the user can mend.

    The command line prints it as one sentence and exits with code 2; Python callers catch it.

    Args:
        what: what is wrong, e.g. ``"the file is cut off in the middle of an atom list"``.
        where: file, row, column, site or option, e.g. ``"quartz.cif, line 31"``.
        mend: what to do about it, e.g. ``"export the CIF again"``.
    """

    def __init__(self, what: str, where: str = "", mend: str = ""):
        self.what, self.where, self.mend = what, where, mend
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """``where: what; mend``, on one line."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        text = " ".join(text.split()).rstrip(".")
        return f"{text}; {self.mend.rstrip('.')}." if self.mend else f"{text}."

    def __reduce__(self):  # crosses process borders with its three parts
        return type(self), (self.what, self.where, self.mend)
