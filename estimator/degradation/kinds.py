"""Kinds of decline by name; nothing heavy is imported, for the command line's help."""

from typing import Final, Literal, get_args

Kind = Literal[
    "stable",
    "sudden",
    "gradual",
    "cyclical",
    "training_serving_skew",
    "recovered",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
# No decline, or one that is over.
CALM_KINDS: Final[tuple[Kind, ...]] = ("stable", "recovered")
