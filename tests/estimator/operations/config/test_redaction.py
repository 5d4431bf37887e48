import re
import traceback
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from hypothesis import assume, example, given
from hypothesis import strategies as st

from estimator.operations.config.redaction import describe_url, redaction_of
from estimator.operations.config.settings import load_config
from estimator.operations.errors import ConfigurationError
from tests.estimator.operations.config.nightly_files import (
    CHUNK,
    ENVIRON,
    LABELS,
    ROOT,
    SQL,
    WHOLE,
    changed,
    refusal,
    write,
)


def everything_told(error):
    """Return all text that a log of an exception may hold, with its whole chain."""
    parts = ["".join(traceback.format_exception(error))]
    while error is not None:
        parts += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def forms_of(secret):
    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {secret, repr(secret)[1:-1], *quoted}


SHAPES = (
    "{}",
    "pre{}post",
    "a b/{}/c.parquet",
    "postgresql+psycopg://user:{}@host/db",
    "postgresql+psycopg://{}:x@host/db",
    "postgresql+psycopg://user:x@host:{}/db",
    "{}://user:x@host/db",
    "sqlite+{}:///x",
    "sqlite:///{}",
    "https://user:{}@host/x?token={}",
    "2026-01-01{}",
)
SECRETS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=8, max_size=24
)
HOSTILE = (
    'it\'s "quoted" \\ and\nbroken',
    "p@ss:w/rd?%41#[x]",
    "a//b/./c/../secret",
)
DOCUMENT = WHOLE.replace(
    'chunk = "D"',
    'chunk = ["2026-01-01", "2026-02-01"]\nmethod = "feature_aware"\n'
    'features = ["income"]\ncalibrator = "platt"\ny_pred = "decided"',
)
TEXTS = [hit.span() for hit in re.finditer(r'"[^"\n]*"', DOCUMENT)]
BROKEN = """
[models.index]
row_id = ["${SECRET}", 1]
labels = "${SECRET}"
nonsense = "${SECRET}"
"""


@given(
    secret=SECRETS,
    chosen=st.dictionaries(
        st.sampled_from(TEXTS), st.sampled_from(SHAPES), min_size=1, max_size=4
    ),
    broken=st.booleans(),
)
@example(HOSTILE[0], {TEXTS[0]: "{}"}, True)
@example(HOSTILE[1], {TEXTS[0]: SHAPES[3]}, True)
@example(HOSTILE[2], {TEXTS[0]: "pre{}post"}, False)
def test_no_secret_is_told(tmp_path_factory, secret, chosen, broken):
    assume(secret.strip())
    text = DOCUMENT
    for (begin, end), shape in sorted(chosen.items(), reverse=True):
        text = text[:begin] + f'"{shape.replace("{}", "${SECRET}")}"' + text[end:]
    if broken:  # every kind of error beside
        text += BROKEN
    path = write(tmp_path_factory.getbasetemp(), text)
    environ = {**ENVIRON, "SECRET": secret}
    # A short one may stand there anyway.
    assume(not any(form in f"{text}{path}{ROOT}" for form in forms_of(secret)))
    try:
        config = load_config(path, environ)
    except ConfigurationError as error:
        text_shown = everything_told(error)
    else:
        credit = config.models["credit"]
        parts = (config, config.job, config.notify, credit, credit.predictions)
        text_shown = (
            f"{config} {config.models} {parts} {credit.labels} {credit.retrained}"
        )
    for hidden in (*forms_of(secret), *forms_of(ENVIRON["SLACK_WEBHOOK"]), "hunter2"):
        assert hidden not in text_shown


@given(
    secret=st.text(st.characters(min_codepoint=32, max_codepoint=0x24F), min_size=2),
    before=st.text(max_size=5),
    after=st.text(max_size=5),
)
@example("it's a/b@c", "", "")
def test_redact_finds_a_variable_in_every_form(tmp_path_factory, secret, before, after):
    assume(secret.strip(" ./"))
    path = write(
        tmp_path_factory.getbasetemp(),
        changed(models__credit__row_id='row_id = "x${SECRET}"'),
    )
    config = load_config(path, {"SECRET": secret})
    for form in forms_of(secret):
        redacted = config.redact(f"{before}{form}{after}")
        assert "${SECRET}" in redacted
        assert form not in redacted or form in f"{before}${{SECRET}}{after}"
    # repr escapes single quotes where it cannot avoid them.
    assert config.redact(repr(f"{secret} '\"")) == repr("${SECRET} '\"")


def test_nothing_is_left_of_a_secret_that_a_password_runs_into(tmp_path):
    labels = SQL.format("postgresql+psycopg://me:x@h:${SECRET}/db")
    text = changed(**{LABELS: labels, CHUNK: 'chunk = "a:x@h:${SECRET}"'})
    text_shown = "\n".join(refusal(tmp_path, text, {"SECRET": "first@second"}))
    assert "`models.credit.estimator.chunk`" in text_shown
    assert not re.search("first|second", text_shown)


def test_redact_hides_what_stands_in_the_file(tmp_path):
    labels = SQL.format("postgresql+psycopg://me:p%40ss@h/db?sslpassword=geheim")
    text = changed(**{LABELS: labels}) + (
        "[notify]\nwebhook = 'https://hooks.slack.com/services/T/B/zzyzx'\n"
    )
    config = load_config(write(tmp_path, text), {})
    assert config.models["credit"].labels.url.count("p%40ss") == 1
    redacted = config.redact(
        "me:p@ss, me:p%40ss and geheim to https://hooks.slack.com/services/T/B/zzyzx "
        "and a passage"
    )
    assert redacted == "me:***, me:*** and *** to *** and a passage"
    assert not re.search("p%40ss|geheim|zzyzx", f"{config} {config.models['credit']}")


@given(
    secret=st.text(
        st.sampled_from("aZ09 !#$%&'()*+,/:;=?@[]_~-.\"\\ä€")
        | st.characters(codec="utf-8"),
        min_size=4,
        max_size=12,
    ),
    kept=st.sampled_from(["", "!@/'", "!$'()*,/:;?@", "/+"]),
    name=st.sampled_from(["password", "sslpassword", "X-Amz-Signature", "api_key"]),
)
@example("p@ss/w+d", "/", "password")
@example("a b&c", "", "password")
@example("p%40s!", "!", "password")
def test_a_password_in_a_query_is_hidden_however_it_is_written(secret, kept, name):
    """SQLAlchemy and drivers quote other characters of it than the file does."""
    assume(re.search(r"\w", secret))
    url = f"postgresql+psycopg://h/d?{name}={quote(secret, safe=kept)}&x=y"
    document = {"job": {"store": url}}
    redaction = redaction_of(document, document, {})
    parsed = sa.make_url(url)
    read = parsed.query[name]
    forms = {read, quote(read), quote(secret, safe=kept), quote_plus(read)}
    rest = f"postgresql+psycopg://h/d?{name}=***&x=y refused '***'"
    assume(not any(form in rest for form in forms))  # as a word that stands there
    for text in (
        url,
        parsed.render_as_string(hide_password=True),
        f"refused {read}",
        f"refused {read!r}",
        f"refused {quote(read)}",
    ):
        redacted = redaction.redact(text)
        assert not any(form in redacted for form in forms)
    assert describe_url(parsed) == f"postgresql+psycopg://h/d?{name}=***&x=y"


def test_redact_leaves_words_alone_that_hold_a_written_password(tmp_path):
    labels = SQL.format("postgresql+psycopg://postgres:post@h/postgres")
    config = load_config(write(tmp_path, changed(**{LABELS: labels})), {})
    redacted = config.redact("postgresql refused postgres with post at once")
    assert redacted == "postgresql refused postgres with *** at once"


def test_redact_finds_the_password_of_a_url_that_a_variable_holds(tmp_path):
    text = changed(**{LABELS: 'labels = { url = "${DSN}", table = "t" }'})
    dsn = "postgresql+psycopg://me:p%40ss@h/db"
    config = load_config(write(tmp_path, text), {"DSN": dsn})
    assert config.redact(f"{dsn} refused me with p@ss") == "${DSN} refused me with ***"


def test_redact_names_the_variable_in_the_url(tmp_path):
    labels = SQL.format("postgresql+psycopg://me:${DB_PASSWORD}@h/db")
    config = load_config(write(tmp_path, changed(**{LABELS: labels})), ENVIRON)
    assert "://me:${DB_PASSWORD}@h/db" in repr(config.models["credit"].labels)
