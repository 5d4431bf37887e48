"""What users copy must be right: each example is read by the program that it is for."""

import ast
import re
import shutil
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from estimator.operations.commands.main import main

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = sorted(
    path.relative_to(EXAMPLES).as_posix()
    for path in EXAMPLES.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)
BASH = shutil.which("bash")
DEADRECKON = "/opt/deadreckon/bin/deadreckon"
SECRETS = {
    "SLACK_WEBHOOK": "https://hooks.example.org/services/1",
    "DB_PASSWORD": "one",
    "PGPASSWORD": "two",
}
NIGHTS = {0: 0, 99: 0, 1: 1, 2: 2, 10: 10, 20: 20, 65: 65, 75: 75}  # exit codes


def read(name):
    return (EXAMPLES / name).read_text(encoding="utf-8")


def documents(name):
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all(read(name)))


def test_readme_names_every_file():
    others = set(FILES) - {"README.md"}
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)?)`", read("README.md")))
    assert others <= named, others - named


def check_options(text):
    """Hold the options in a line of shell against those of the command line."""
    for command, rest in re.findall(r"deadreckon (run|estimate)\b([^|;&#`]*)", text):
        if command not in main.commands:
            pytest.skip(f"there is no `deadreckon {command}` yet")
        options = {x for p in main.commands[command].params for x in p.opts}
        used = set(re.findall(r"--[a-z-]+", rest))
        assert used <= options, f"{used - options} in {text}"


@pytest.mark.parametrize("name", FILES)
def test_commands_and_options_exist(name):
    for line in read(name).splitlines():
        check_options(line)


@pytest.mark.parametrize("name", FILES)
def test_secrets_are_variables(name):
    text = read(name)
    assert not re.search(r"hooks\.slack\.com|AKIA|://[^\s:/]+:[^$\s][^\s@]*@", text)
    for password in re.findall(r"://[^\s:/]+:([^@\s]+)@", text):
        assert re.fullmatch(r"\$\{[A-Z_]+\}", password)


# --- configuration -----------------------------------------------------------------


def configurations():
    yield "nightly.toml", lambda: read("nightly.toml")
    embedded = "kubernetes/cronjob.yaml"
    yield embedded, lambda: documents(embedded)[0]["data"]["nightly.toml"]


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name) for name, text in configurations()]
)
def test_configuration_is_read(tmp_path, text):
    pytest.importorskip("psycopg")
    from estimator.operations.config.settings import load_config

    path = tmp_path / "nightly.toml"
    path.write_text(text(), encoding="utf-8")
    config = load_config(path, SECRETS)
    assert config.models["credit"].parameters["timestamp"] == "timestamp"
    assert config.models["credit"].labels.url.count("one") == 1


def test_configuration_that_is_commented_out_is_read_too(tmp_path):
    pytest.importorskip("psycopg")
    from estimator.operations.config.settings import load_config

    begins = r"^# (?=\[\[models|from_chunk|reference =)"
    text, n_lines = re.subn(begins, "", read("nightly.toml"), flags=re.MULTILINE)
    assert n_lines == 3
    path = tmp_path / "nightly.toml"
    path.write_text(text, encoding="utf-8")
    assert len(load_config(path, SECRETS).models["credit"].retrained) == 1


# --- cron --------------------------------------------------------------------------


def cron_line():
    lines = [x for x in read("cron/crontab").splitlines() if re.match(r"[0-9*]", x)]
    assert len(lines) == 1
    *schedule, command = lines[0].split(None, 5)
    assert schedule == ["30", "2", "*", "*", "*"]
    assert "%" not in command  # cron takes it for a line end
    return command


def run(script, **options):
    return subprocess.run(  # noqa: S603 - our own example
        [BASH, *options.pop("flags", []), "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        **options,
    )


def pretend(folder, code):
    """Put a program in the place of deadreckon that ends with ``code``."""
    program = folder / "deadreckon"
    program.write_text(f'#!/bin/sh\necho "$@, $SLACK_WEBHOOK"\nexit {code}\n')
    program.chmod(0o755)
    return program


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_the_lines_that_a_crontab_has_stay(tmp_path):
    """The command in the comment runs with a `crontab` that keeps a file."""
    [command] = re.findall(r"^# +(\(crontab .*)$", read("cron/crontab"), re.MULTILINE)
    table = tmp_path / "table"
    table.write_text("0 1 * * * backup\n", encoding="utf-8")
    program = tmp_path / "crontab-program"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in -l) cat {table};; *) cat "$1" > {table}.new && '
        f"mv {table}.new {table};; esac\n"
    )
    program.chmod(0o755)
    script = re.sub(r"\bcrontab -", f"{program} -", command)
    done = run(script, cwd=EXAMPLES / "cron")
    assert done.returncode == 0, done.stderr
    expected = "0 1 * * * backup\n" + read("cron/crontab")
    assert table.read_text(encoding="utf-8") == expected


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_cron_line_is_bash():
    assert "SHELL=/bin/bash" in read("cron/crontab").splitlines()
    assert run(cron_line(), flags=["-n"]).returncode == 0
    assert run(cron_line() + " }", flags=["-n"]).returncode != 0


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(("code", "seen"), NIGHTS.items())
def test_cron_mails_failures_only(tmp_path, code, seen):
    (tmp_path / "secrets.env").write_text("SLACK_WEBHOOK='https://x/?a=1&b=2'\n")
    script = (
        cron_line()
        .replace(DEADRECKON, str(pretend(tmp_path, code)))
        .replace("/etc/deadreckon", str(tmp_path))
        .replace("/var/lib/deadreckon", str(tmp_path))
    )
    assert script.count(str(tmp_path)) == 3
    done = run(script)
    assert done.returncode == seen
    assert done.stderr == ""
    log = (tmp_path / "nightly.log").read_text()
    assert log == "run nightly.toml --log-format json, https://x/?a=1&b=2\n"
    mail = f"deadreckon run: exit code {code}\n{log}"
    assert done.stdout == (mail if seen else "")


# --- systemd -----------------------------------------------------------------------


def unit(name):
    """Read a unit file: {section: {key: [values]}}."""
    lines = defaultdict(lambda: defaultdict(list))
    section = None
    for line in read(name).splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            lines[section][key].append(value)
    return lines


def test_systemd_service_knows_the_exit_codes():
    service = unit("systemd/deadreckon.service")["Service"]
    assert service["Type"] == ["oneshot"]
    assert service["SuccessExitStatus"] == ["99 143"]
    assert service["Restart"] == ["on-failure"]
    never = {int(code) for code in service["RestartPreventExitStatus"][0].split()}
    assert never == {code for code, seen in NIGHTS.items() if seen} - {75}
    assert service["ExecStart"][0].split()[:2] == [DEADRECKON, "run"]
    assert service["EnvironmentFile"] == ["/etc/deadreckon/secrets.env"]
    # What it writes lies where it may write.
    writable = {f"/var/lib/{service['StateDirectory'][0]}"}
    assert set(service["WorkingDirectory"]) == writable
    textfile = Path(tomllib.loads(read("nightly.toml"))["notify"]["prometheus"])
    assert service["ReadWritePaths"] == [f"-{textfile.parent}"]


def test_systemd_timer_starts_the_service_every_night():
    timer = unit("systemd/deadreckon.timer")
    assert timer["Timer"]["OnCalendar"] == ["*-*-* 02:30:00"]
    assert timer["Timer"]["Persistent"] == ["true"]
    assert timer["Install"]["WantedBy"] == ["timers.target"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_has_no_complaint(tmp_path):
    for name in ("deadreckon.service", "deadreckon.timer"):
        program = str(pretend(tmp_path, 0))
        text = read(f"systemd/{name}").replace(DEADRECKON, program)
        (tmp_path / name).write_text(text)
    units = [str(tmp_path / f"deadreckon.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(  # noqa: S603 - our own example
        [shutil.which("systemd-analyze"), "verify", *units],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "deadreckon" in line]
    assert (done.returncode, ours) == (0, [])


# --- Airflow -----------------------------------------------------------------------


def test_dag_calls_the_operator_as_it_should():
    tree = compile(read("airflow/deadreckon_dag.py"), "dag", "exec", ast.PyCF_ONLY_AST)
    calls = {
        node.func.id: {keyword.arg: keyword.value for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    operator, dag = calls["BashOperator"], calls["DAG"]
    assert ast.literal_eval(operator["skip_on_exit_code"]) == 99
    command = ast.literal_eval(operator["bash_command"])
    assert command.startswith(f"{DEADRECKON} run ")
    assert not command.endswith((".sh", ".bash"))  # else it is taken for a template
    assert "env" not in operator
    assert ast.literal_eval(dag["max_active_runs"]) == 1
    assert ast.literal_eval(dag["catchup"]) is False
    check_options(command)


# --- Kubernetes and GitHub ---------------------------------------------------------


def test_kubernetes_objects_fit_together():
    config, claim, job = documents("kubernetes/cronjob.yaml")
    kinds = [x["kind"] for x in (config, claim, job)]
    assert kinds == ["ConfigMap", "PersistentVolumeClaim", "CronJob"]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    template = job["spec"]["jobTemplate"]["spec"]
    pod = template["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # a pod failure policy demands it
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["config"]["configMap"]["name"] == config["metadata"]["name"]
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "deadreckon"
    (container,) = pod["containers"]
    paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(paths) == set(volumes)
    on_exit = template["podFailurePolicy"]["rules"][0]["onExitCodes"]
    assert on_exit["containerName"] == container["name"]
    assert set(on_exit["values"]) == {c for c, seen in NIGHTS.items() if seen} - {75}
    # All that the run writes lies on a volume: the root of the container is read-only.
    settings = tomllib.loads(config["data"]["nightly.toml"])
    assert "://" in settings["job"]["store"]
    assert settings["job"]["report"].startswith(f"{paths['data']}/")
    environment = {variable["name"]: variable for variable in container["env"]}
    assert environment["NUMBA_CACHE_DIR"]["value"].startswith(f"{paths['data']}/")


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(("code", "seen"), NIGHTS.items())
def test_kubernetes_sees_every_code_but_99(tmp_path, code, seen):
    *_, job = documents("kubernetes/cronjob.yaml")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"] == ["/bin/sh", "-c"]
    (script,) = pod["containers"][0]["args"]
    done = run(script, env={"PATH": str(pretend(tmp_path, code).parent)})
    assert done.stdout.startswith("run /config/nightly.toml")
    assert done.returncode == seen


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(("code", "seen"), NIGHTS.items())
def test_github_step_fails_unless_it_ran_or_nothing_was_new(tmp_path, code, seen):
    (workflow,) = documents("github-actions/nightly.yml")
    steps = workflow["jobs"]["run"]["steps"]
    (step,) = (x for x in steps if "deadreckon run" in x.get("run", ""))
    environment = {"PATH": str(pretend(tmp_path, code).parent)}
    # How GitHub calls bash: https://docs.github.com/actions/reference/workflows-and-actions
    done = run(step["run"], flags=["-e"], env=environment)
    assert done.stdout.startswith("run nightly.toml")
    assert bool(done.returncode) == bool(seen)
    assert {f"${{{{ secrets.{name} }}}}" for name in step["env"]} == set(
        step["env"].values()
    )


def test_github_workflow_runs_every_night():
    (workflow,) = documents("github-actions/nightly.yml")
    on = workflow[True]  # YAML 1.1 reads `on` so
    assert on["schedule"] == [{"cron": "30 2 * * *"}]
    assert workflow["permissions"] == {"contents": "read"}
