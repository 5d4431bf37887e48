"""What the text of a CSV cell means: one rule, for DuckDB and for pandas.

CSV has no types, and what a reader guesses differs from file to file: ``01`` is a
number here and a text there. So cells are read as texts, and become what their column
is used for:

* *number* (score, decision, label, numeric feature): a decimal number; true and false
  in any case are 1 and 0.
* *time*: ISO 8601, all with an offset from UTC or all without.
* *text* (segment, other feature, id): the text as written: ``01`` is not ``1``, ``NA``
  is not missing, ``10:00`` stays so. There are two exceptions, because Parquet and
  databases have these values in one way only: true and false in any case are ``True``
  and ``False``, and a whole number that pandas has written as a float (``1.0``, because
  another cell of the column is missing) is ``1``.

An empty cell is missing in every column, the words of `MISSING` in numbers and times.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none")
OPTIONS = (
    "all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"', "
    "comment = '', skip = 0, union_by_name = true"
)
_WHOLE_AS_FLOAT = r"(-?[0-9]+)\.0+"
_MOMENT = r"\s*\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?\s*"
_WITHOUT_SECONDS = r"([T ]\d\d:\d\d)(\s*(?:[Zz]|[+-]))"
_MOMENT_ZONED = (
    r"\s*\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s*([Zz]|[+-]\d\d(:?\d\d)?)\s*"
)
# A text with more letters is shown shortened, so that a database can index it.
MOST_LETTERS = 200
_LETTERS_SHOWN, _LETTERS_OF_HASH = 120, 16
NUL, NUL_SHOWN = "\0", "\N{SYMBOL FOR NULL}"


def number_sql(column: str) -> str:
    """Return SQL of a text column's numbers; a text that is none is an error."""
    number = _one_sign_sql(column)
    return (
        f"coalesce(nullif(TRY_CAST({number} AS DOUBLE), 'nan'::DOUBLE), "
        f"CASE WHEN {_is_missing_sql(column)} THEN NULL "
        f"WHEN lower(trim({column})) = 'true' THEN 1.0 "
        f"WHEN lower(trim({column})) = 'false' THEN 0.0 "
        f"ELSE CAST({number} AS DOUBLE) END)"
    )


def is_number_sql(column: str) -> str:
    """Return SQL of whether `number_sql` would read a cell."""
    return (
        f"(TRY_CAST({_one_sign_sql(column)} AS DOUBLE) IS NOT NULL "
        f"OR {_is_missing_sql(column)} "
        f"OR coalesce(lower(trim({column})) IN ('true', 'false'), true))"
    )


def _one_sign_sql(column: str) -> str:
    """Return SQL of a text that is no number for DuckDB either if it has two signs.

    DuckDB leaves out a leading plus, and reads "+-1" as -1.
    """
    return f"replace({column}, '+-', '+?-')"


def whole_sql(column: str, name: str) -> str:
    """Return SQL of a text column's whole numbers; another text is an error."""
    text = name.replace("'", "''")
    refusal = (
        f"error('column `{text}` must hold whole numbers, as what it is joined with, "
        f"but holds ' || {column})"
    )
    return (
        f"CASE WHEN {_is_missing_sql(column)} THEN NULL "
        f"WHEN regexp_full_match(trim({column}), '[+-]?[0-9]+(\\.0+)?') "
        f"THEN CAST(regexp_extract({column}, '[+-]?[0-9]+') AS HUGEINT) "
        f"ELSE CAST({refusal} AS HUGEINT) END"
    )


def text_sql(column: str) -> str:
    """Return SQL of a text column's texts."""
    return (
        f"CASE WHEN regexp_full_match({column}, '{_WHOLE_AS_FLOAT}') "
        f"THEN regexp_extract({column}, '{_WHOLE_AS_FLOAT}', 1) "
        f"WHEN lower({column}) = 'true' THEN 'True' "
        f"WHEN lower({column}) = 'false' THEN 'False' ELSE {column} END"
    )


def time_sql(column: str, name: str, *, zoned: bool) -> str:
    """Return SQL of a text column's times; another kind of time is an error.

    Parameters
    ----------
    column : str
        Quoted.
    name : str
        The column's name for the error, without quotes.
    zoned : bool
        Whether all have an offset from UTC, else none has.
    """
    kind = "TIMESTAMPTZ" if zoned else "TIMESTAMP"
    rule = "with an offset from UTC" if zoned else "without an offset from UTC"
    text = name.replace("'", "''")
    refusal = (
        f"error('column `{text}` must hold ISO times {rule}, as the other rows do, "
        f"but holds ' || {column})"
    )
    pattern = _MOMENT_ZONED if zoned else _MOMENT
    # DuckDB 1.1 wants seconds before an offset.
    whole = f"regexp_replace({column}, '{_WITHOUT_SECONDS}', '\\1:00\\2')"
    return (
        f"CASE WHEN {_is_missing_sql(column)} THEN NULL "
        f"WHEN regexp_full_match({column}, '{pattern}') "
        f"THEN CAST({whole if zoned else column} AS {kind}) "
        f"ELSE CAST({refusal} AS {kind}) END"
    )


def is_zoned(text: str) -> bool:
    """Whether a time has an offset from UTC.

    Examples
    --------
    >>> is_zoned("2026-01-05T10:00:00+01:00"), is_zoned("2026-01-05")
    (True, False)
    """
    return re.fullmatch(_MOMENT_ZONED, text) is not None


def is_missing(text: str | None) -> bool:
    """Whether a cell is missing in a column of numbers or times."""
    return text is None or text.strip(" ").lower() in MISSING


def _is_missing_sql(column: str) -> str:
    words = ", ".join(f"'{word}'" for word in MISSING)
    return f"coalesce(lower(trim({column})) IN ({words}), true)"


def shortened_sql(column: str) -> str:
    """Return SQL of texts that every database keeps and indexes; as `shortened`."""
    shown = f"replace(left({column}, {_LETTERS_SHOWN}), chr(0), '{NUL_SHOWN}')"
    digest = f"left(md5({column}), {_LETTERS_OF_HASH})"
    return (
        f"CASE WHEN length({column}) > {MOST_LETTERS} OR contains({column}, chr(0)) "
        f"THEN {shown} || '… #' || {digest} ELSE {column} END"
    )


def shortened(text: str) -> str:
    r"""Return a text that every database keeps and indexes.

    PostgreSQL refuses NUL, and an index's row of more than 2,700 bytes. Texts that
    differ only beyond what is shown differ in the hash.

    Examples
    --------
    >>> shortened("north")
    'north'
    >>> shortened("a\0b")
    'a␀b… #70350f6027bce371'
    """
    import hashlib

    if len(text) <= MOST_LETTERS and NUL not in text:
        return text
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    shown = text[:_LETTERS_SHOWN].replace(NUL, NUL_SHOWN)
    return f"{shown}… #{digest[:_LETTERS_OF_HASH]}"


def read_numbers(texts: "pd.Series") -> "pd.Series":
    """Return a column of CSV texts as numbers, NaN where missing.

    Raises
    ------
    ValueError
        Naming the first text that is no number.
    """

    def number(text: str) -> float:
        if is_missing(text):
            return float("nan")
        word = text.strip(" ").lower()
        if word in ("true", "false"):
            return float(word == "true")
        try:
            return float(text)
        except ValueError:
            msg = (
                f"column `{texts.name}` must hold numbers, but holds {text!r}. "
                "Write a number, or leave the cell empty."
            )
            raise ValueError(msg) from None

    return _mapped(texts, number, "float64")


def read_texts(texts: "pd.Series") -> "pd.Series":
    """Return a column of CSV texts as texts, None where missing."""

    def text_of(text: str) -> str | None:
        if not text:
            return None
        whole = re.fullmatch(_WHOLE_AS_FLOAT, text)
        if whole:
            return whole[1]
        word = text.lower()
        return word.capitalize() if word in ("true", "false") else text

    return _mapped(texts, text_of, "object")


def read_times(texts: "pd.Series") -> "pd.Series":
    """Return a column of CSV texts with None where missing; their user parses them."""
    return _mapped(texts, lambda text: None if is_missing(text) else text, "object")


def _mapped(
    texts: "pd.Series",
    function: Callable[[str], object],
    kind: Literal["float64", "object"],
) -> "pd.Series":
    import numpy as np
    import pandas as pd

    values = np.empty(len(texts), dtype=object)
    values[:] = [function(text) for text in texts.tolist()]
    column: pd.Series = pd.Series(
        values.astype(kind), index=texts.index, name=texts.name, dtype=kind
    )
    return column
