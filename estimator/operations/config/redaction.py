"""Variables of the environment in a configuration, and nothing told of their values."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, unquote_plus

if TYPE_CHECKING:
    import sqlalchemy as sa

_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_]\w*)\}|\$\{", re.ASCII)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SENSITIVE = "(?:pass|secret|token|key|sig|cred)"
_PASSWORDS = (
    re.compile(r"://[^:/@]*:([^@]+)@"),
    re.compile(r"://[^:/@]*:(.+)@", re.DOTALL),  # with "@" in it, unquoted
    re.compile(rf"[?&][^=&]*{_SENSITIVE}[^=&]*=([^&]+)", re.I),
)


@dataclass(frozen=True, slots=True, repr=False)
class Redaction:
    """Hides what must not be told.

    Attributes
    ----------
    variables : mapping of str to str
        ``${VAR}``, by each form in which its value may turn up.
    passwords : frozenset of str
        Hidden by ``***`` where no letter or digit adjoins: ``postgres`` may be one.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    passwords: frozenset[str] = frozenset()

    def redact(self, text: str) -> str:
        """Return ``text`` with "${VAR}" or "***" in place of each secret.

        Examples
        --------
        >>> Redaction({"hunter2": "${PASSWORD}"}).redact("no hunter2 at db")
        'no ${PASSWORD} at db'
        """
        # Variables first: a password may begin before one, and end within it.
        if self.variables:
            longest_first = sorted(self.variables, key=len, reverse=True)
            pattern = "|".join(map(re.escape, longest_first))
            text = re.sub(pattern, lambda hit: self.variables[hit[0]], text)
        for password in sorted(self.passwords, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(password)}(?!\w)", "***", text)
        return text


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RedactedRepr:
    """Settings whose repr tells no secret."""

    redaction: Redaction = field(default=Redaction(), compare=False)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{one.name}={getattr(self, one.name)!r}"
            for one in fields(self)
            if one.name != "redaction"
        )
        return self.redaction.redact(f"{type(self).__name__}({shown})")


def describe_url(url: "sa.URL") -> str:
    """Return the URL of a database without its passwords, wherever they stand in it.

    Examples
    --------
    >>> import sqlalchemy as sa
    >>> describe_url(sa.make_url("postgresql://me:a@host/db?sslpassword=b%21&x=y"))
    'postgresql://me:***@host/db?sslpassword=***&x=y'
    """
    hidden = {x: "***" for x in url.query if re.search(_SENSITIVE, x, re.I)}
    shown = url.update_query_dict(hidden).render_as_string(hide_password=True)
    return shown.replace(quote_plus("***"), "***")


def below(key_path: str, part: str | int) -> str:
    """Return the dotted path of a key, or of a position in a list.

    Examples
    --------
    >>> below(below("models", "credit.v2"), 0)
    'models."credit.v2"[0]'
    """
    if isinstance(part, int):
        return f"{key_path}[{part}]"
    key = part if _BARE_KEY.fullmatch(part) else json.dumps(part)
    return f"{key_path}.{key}" if key_path else key


def find_variables(
    document: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return the values of ``${VAR}`` in a document, and what is wrong with others."""
    variables, problems = {}, []
    for key_path, text in _texts(document):
        for hit in _VARIABLE.finditer(text):
            name = hit["name"]
            if hit[0] == "$${":
                continue
            if name is None:
                problems.append(
                    f'`{key_path}` has a "${{" that no variable\'s name and "}}" '
                    'follow. Write ${NAME}, or "$${" for a literal "${".'
                )
            elif not environ.get(name, "").strip():
                state = "empty" if name in environ else "not set"
                problems.append(
                    f"`{key_path}` needs the environment variable {name}, which is "
                    f"{state}. Set it for the job."
                )
            else:
                variables[name] = environ[name]
    return variables, problems


def fill_in(node: object, variables: Mapping[str, str]) -> object:
    """Return a copy of a document with ``${VAR}`` replaced, and ``$${`` by ``${``."""
    if isinstance(node, dict):
        return {key: fill_in(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [fill_in(value, variables) for value in node]
    if not isinstance(node, str):
        return node
    return _VARIABLE.sub(
        lambda hit: "${" if hit[0] == "$${" else variables.get(hit["name"], hit[0]),
        node,
    )


def redaction_of(
    written: dict[str, object], filled: dict[str, object], variables: Mapping[str, str]
) -> Redaction:
    """Return what hides variables, passwords in URLs and the webhook of a document."""
    hidden: dict[str, str] = {}
    for name, value in variables.items():
        hidden |= dict.fromkeys(_forms(value), f"${{{name}}}")
    secrets: set[str] = set()
    for key_path, text in [*_texts(written), *_texts(filled)]:
        secrets.update(*(pattern.findall(text) for pattern in _PASSWORDS))
        if key_path == "notify.webhook":
            secrets.add(text)
    variables_as_secrets = {secret for secret in secrets if _VARIABLE.fullmatch(secret)}
    return Redaction(
        hidden, frozenset().union(*map(_forms, secrets - variables_as_secrets))
    )


def _texts(node: object, key_path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of the key and the text of every text in a document."""
    if isinstance(node, str):
        yield key_path, node
    elif isinstance(node, dict | list):
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for part, value in pairs:
            yield from _texts(value, below(key_path, part))


def _forms(secret: str) -> set[str]:
    """Return the secret as URLs and `repr` write it, and as it is read from a URL.

    Whoever reads a URL and writes it again quotes other characters than stood there.
    """
    forms: set[str] = set()
    for text in (secret, unquote(secret), unquote_plus(secret)):
        # Beside both kinds of quotes, repr escapes the single ones.
        escaped = repr(f"{text}'\"")[1:-4]
        forms |= {text, escaped, escaped.replace(r"\'", "'"), quote_plus(text)}
        forms |= {quote(text, safe=safe) for safe in ("", "/", " +")}
    return {form for form in forms if form.strip(" ./")}
