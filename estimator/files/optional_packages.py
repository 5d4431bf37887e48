"""How to install what only some functions need."""


def install_hint(extra: str) -> str:
    """Return the sentence that ends the error about a package that is missing.

    deadreckon is on no package index yet: a name without a path would install something
    else, or nothing.

    Examples
    --------
    >>> install_hint("plot")
    'Install it from a checkout of deadreckon: `pip install ".[plot]"`.'
    """
    return f'Install it from a checkout of deadreckon: `pip install ".[{extra}]"`.'
