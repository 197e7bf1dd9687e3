"""The command line as a whole: its commands, its start, its errors."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import click
import pytest
from tests.unit.commands.cli_fakes import INSTANCE_SPEC, Outside, body
from typer.testing import CliRunner

from sovereigncloud import __version__, cli
from sovereigncloud.cli import app
from sovereigncloud.commands import catalogue, version
from sovereigncloud.commands.catalogue import COMMANDS, GROUP, command
from sovereigncloud.commands.shared import connections

HEAVY = {"kopf", "kubernetes", "aiohttp", "pyone", "ovh", "pydantic", "yaml", "rich"}


def test_the_help_names_every_command_under_its_panel():
    helped = CliRunner().invoke(app, ["--help"])
    assert helped.exit_code == 0
    for name, entry in COMMANDS.items():
        assert f" {name} " in helped.stdout
        assert entry.panel in helped.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_of_itself_what_the_list_says_of_it(name):
    """The list is shown without importing the command, so it is written twice."""
    described = (command(name).help or "").split("\n\n")[0]
    assert " ".join(described.split()) == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_that_reads(name):
    helped = CliRunner().invoke(app, [name, "--help"])
    assert helped.exit_code == 0
    assert COMMANDS[name].summary.split()[0] in helped.stdout
    options = [p for p in command(name).params if isinstance(p, click.Option) and "--help" not in p.opts]
    assert [option.name for option in options if not option.help] == []


def test_the_sandbox_is_found_by_its_entry_point_and_listed_without_an_import():
    assert "sandbox" in catalogue.available()
    assert not COMMANDS["sandbox"].target
    assert "sovereigncloud_sandbox" not in loaded("cli.app(['--help'], standalone_mode=False)")


def test_without_its_package_a_command_is_not_listed_and_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    assert "sandbox" not in catalogue.available()
    assert " sandbox " not in CliRunner().invoke(app, ["--help"]).stdout
    for arguments in (["sandbox"], ["sandbox", "up"], ["sandbox", "--help"]):
        told = CliRunner().invoke(app, arguments)
        assert told.exit_code == 1
        assert told.stderr.startswith("error: `sandbox` is not installed here")
        assert "pip install -e '.[sandbox]'" in told.stderr
        assert told.stderr.count("\n") == 1


def test_a_command_of_another_package_is_listed_and_runs(monkeypatch):
    added = EntryPoint("capital", "string:capwords", GROUP)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [added] if group == GROUP else [])
    assert catalogue.available()[-1] == "capital"
    assert " capital " in CliRunner().invoke(app, ["--help"]).stdout
    assert command("capital").name == "capital"


def test_version():
    assert CliRunner().invoke(app, ["version"]).stdout == f"sovereign {__version__}\n"


def loaded(statement):
    """Names of the packages that a statement imports."""
    code = f"import sys; from sovereigncloud import cli; {statement}; print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.partition("LOADED")[2].split()}


@pytest.mark.parametrize(
    ("statement", "beside", "why"),
    [
        ("cli.app(['version'], standalone_mode=False)", set(), "a version"),
        ("cli.app(['--help'], standalone_mode=False)", {"rich"}, "the list of commands, drawn by rich"),
        ("cli.completions([], 'tr')", set(), "a command at the TAB key"),
        ("cli.completions(['tree'], '-')", {"pydantic", "yaml"}, "an option at the TAB key"),
    ],
)
def test_what_must_be_quick_imports_nothing_that_takes_time(statement, beside, why):
    found = loaded(statement)
    assert "sovereigncloud" in found
    assert not (found & HEAVY) - beside, why


# --- completion -----------------------------------------------------------------------------------------------------


def completed(*words):
    outside = Outside().with_cluster(
        body("HostedInstance", "web", INSTANCE_SPEC), body("HostedInstance", "db", INSTANCE_SPEC),
        body("VirtualNetwork", "lan", {}), body("HostedInstance", "shop", INSTANCE_SPEC, namespace="prod"),
    )  # fmt: skip
    return cli.completions(list(words[:-1]), words[-1], outside.connections)


@pytest.mark.parametrize(
    ("words", "offered", "why"),
    [
        (["tre"], ["tree"], "a command"),
        (["pause", "hinst/"], ["hinst/db", "hinst/web"], "names after a kind and a slash"),
        (["pause", "HostedInstance/w"], ["HostedInstance/web"], "in the person's own words"),
        (["pause", "hinst", "w"], ["web"], "names after a kind"),
        (["pause", "-n", "prod", "hinst/"], ["hinst/shop"], "of the namespace"),
        (["tree", "onev"], ["onevnet/lan", "onevnet"], "kinds, and what is there of them"),
        (["ssh", ""], ["db", "web"], "instances only"),
        (["tree", "-n", ""], ["prod", "team"], "namespaces that hold something"),
        (["tree", "-o", ""], ["table", "json", "yaml"], "choices"),
        (["sandbox", "u"], ["up"], "a command below a command"),
        (["pause", "nothing/"], [], "no kind: nothing, and no error"),
        (["nonsense", ""], None, "no command: nothing that fails"),
    ],
)
def test_what_is_offered_at_the_tab_key(words, offered, why):
    *found, directive = completed(*words)
    if offered is not None:
        assert [line.partition("\t")[0] for line in found] == offered, why
    assert directive == ":4", "cobra: no file names"


def test_a_cluster_that_is_away_offers_nothing():
    assert cli.completions(["pause"], "hinst/", Outside().connections) == [":4"]
    assert cli.completions(["pause"], "hinst/", Outside().with_cluster(only=frozenset()).connections) == [":4"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_this_program(shell):
    script = CliRunner().invoke(app, ["completion", shell])
    assert script.exit_code == 0
    assert f"_SOVEREIGN_COMPLETE={shell}_complete" in script.stdout


def test_the_script_is_answered(monkeypatch, capsys):
    monkeypatch.setenv("_SOVEREIGN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "sovereign tre")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        app(prog_name="sovereign")
    assert capsys.readouterr().out == "plain,tree\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plann"], "No such command 'plann'"),
        (["version", "--loud"], "No such option"),
        (["sandbox", "upp"], "No such command 'upp'"),
        (["describe"], "Missing argument"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_1(arguments, words):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_wrong_setting_is_named(monkeypatch):
    monkeypatch.setenv("SOVEREIGN_WORKERS", "many")
    result = CliRunner().invoke(app, ["run"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: SOVEREIGN_WORKERS: ")
    assert result.stderr.count("\n") == 1
    with pytest.raises(Exception, match="SOVEREIGN_WORKERS"):
        connections.settings_or_error()


def test_an_unexpected_error_tells_its_type_only_and_debug_its_traceback(monkeypatch):
    def broken():
        raise ZeroDivisionError("hunter2")

    monkeypatch.setattr(version, "version", broken)
    quiet = CliRunner().invoke(app, ["version"])
    assert (quiet.exit_code, "hunter2" in quiet.output) == (1, False)
    assert "unexpected ZeroDivisionError" in quiet.stderr
    loud = CliRunner().invoke(app, ["--debug", "version"])
    assert isinstance(loud.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("program", "name"), [("/usr/bin/kubectl-sovereign", "kubectl sovereign"), ("sovereign", "sovereign")]
)
def test_it_knows_by_which_name_it_was_called(monkeypatch, capsys, program, name):
    monkeypatch.setattr(sys, "argv", [program, "nonsense"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert f"(see {name} --help)" in capsys.readouterr().err
