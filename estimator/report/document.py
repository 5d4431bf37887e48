"""The frame of a page: one file, which may load nothing and run its own script only."""

from base64 import b64encode
from hashlib import sha256
from html import escape

from estimator.report.style import STYLE


def page_html(title: str, body: str, script: str = "") -> str:
    """Return a page whose browser refuses every request and every other script.

    Parameters
    ----------
    title : str
        As it is; it is escaped here.
    body : str
        HTML in which all that comes from data is escaped.
    script : str, default=""
        Ours.
    """
    rules = f"default-src 'none'; img-src data:; style-src {_hash(STYLE)}"
    rules += f"; script-src {_hash(script) if script else chr(39) + 'none' + chr(39)}"
    rules += "; base-uri 'none'; form-action 'none'"
    run = f"<script>{script}</script>" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{rules}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta name="referrer" content="no-referrer">'
        # Or browsers ask the server for an icon.
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main>{run}</body></html>\n"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
