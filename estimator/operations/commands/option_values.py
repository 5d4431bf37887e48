"""What is written after a command, as the value that it names."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from estimator.operations.errors import ConfigurationError
from estimator.operations.terminal import printable

if TYPE_CHECKING:
    import pandas as pd

    from estimator.operations.config.settings import NightlyConfig

Value = TypeVar("Value")

CONFIG = click.argument(
    "config", type=click.Path(path_type=Path), metavar="CONFIG.toml"
)


def split(values: tuple[str, ...]) -> list[str]:
    """Split comma-separated values of a repeatable option."""
    return [part.strip() for value in values for part in value.split(",") if part]


def parse_chunk(
    text: str | None, *, has_timestamp: bool
) -> str | int | list[str] | None:
    """Read ``--chunk``: a row count, an offset alias, edges, or ``none``.

    Examples
    --------
    >>> parse_chunk("2000", has_timestamp=False), parse_chunk("W", has_timestamp=True)
    (2000, 'W')
    >>> parse_chunk(None, has_timestamp=False)
    2000
    """
    if text is None:
        return "W" if has_timestamp else 2_000
    if text.lower() == "none":
        return None
    if "," in text:
        return split((text,))
    try:
        return int(text.replace("_", ""))
    except ValueError:
        return text


def parse_thresholds(
    texts: tuple[str, ...],
) -> dict[str, tuple[str | float | None, ...]]:
    """Read ``--threshold``.

    Examples
    --------
    >>> parse_thresholds(("roc_auc=constant:0.7:", "f1=standard_error:2"))
    {'roc_auc': ('constant', 0.7, None), 'f1': ('standard_error', 2.0)}
    """

    def rule(text: str) -> tuple[str | float | None, ...]:
        kind, *numbers = text.split(":")
        return (kind, *(float(x) if x.strip() else None for x in numbers))

    return _pairs("--threshold", texts, rule, "roc_auc=constant:0.7:")


def parse_costs(texts: tuple[str, ...]) -> dict[str, float] | None:
    """Read ``--business-cost``; cells that are not named cost nothing.

    Examples
    --------
    >>> parse_costs(("fp=-5,fn=-100",))
    {'tn': 0.0, 'fp': -5.0, 'fn': -100.0, 'tp': 0.0}
    """
    costs = _pairs("--business-cost", tuple(split(texts)), float, "fp=-5,fn=-100")
    return {**dict.fromkeys(("tn", "fp", "fn", "tp"), 0.0), **costs} if costs else None


def _pairs(
    option: str, texts: tuple[str, ...], read: Callable[[str], Value], example: str
) -> dict[str, Value]:
    pairs: dict[str, Value] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            pairs[name.strip()] = read(value)  # nothing after "=" is no number either
        except ValueError as error:
            msg = f"{option} must be like {example}, got {text!r}."
            raise click.UsageError(msg) from error
    return pairs


def moment_of(text: str | None) -> "pd.Timestamp | None":
    """Return the time that ``--as-of`` names, None without one."""
    from estimator.operations.data_time import parse_moment

    return None if text is None else parse_moment(text)


def load_settings(path: Path) -> "NightlyConfig":
    """Read the configuration; an error in it is one of usage."""
    from estimator.operations.config.settings import load_config

    try:
        return load_config(path)
    except (ConfigurationError, ModuleNotFoundError) as error:
        raise click.UsageError(printable(str(error), but="\n")) from error


def list_models(settings: "NightlyConfig") -> str:
    """Return how many models a configuration has, and their names."""
    n = len(settings.models)
    return f"{n} model{'' if n == 1 else 's'}: {', '.join(settings.models)}"
