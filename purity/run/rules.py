"""A refusal that leads to the rule it stands for: a line of docs/contract.md. No torch here."""

PAGE = "docs/contract.md"


def broken(said: str, rule: str) -> ValueError:
    """The error of a broken rule: one line that names the part and what differs, and says where the rule stands."""
    return ValueError(f"{' '.join(said.split())} ({PAGE}#{rule})")
