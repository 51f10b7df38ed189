"""Refusals in one line, which lead to the rule they stand for: a line of docs/contract.md. No torch here."""

PAGE = "docs/contract.md"


def first_line(error: BaseException) -> str:
    """What an error says, its first line; its type if it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]


def broken(said: str, rule: str) -> ValueError:
    """The error of a broken rule: one line that names the part and what differs, and says where the rule stands."""
    return ValueError(f"{' '.join(said.split())} ({PAGE}#{rule})")
