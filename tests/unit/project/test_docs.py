"""Documentation and code say the same: reasons, tests that are named, links, manifests, commands, generated pages."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.cli import app
from sovereigncloud.commands.plan.manifest_validation import problems
from sovereigncloud.commands.plan.manifests import read

REPOSITORY = Path(__file__).parents[3]
DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md")])
TROUBLESHOOTING = (DOCS / "troubleshooting.md").read_text()


def named(path):
    return str(path.relative_to(REPOSITORY))


every_page = pytest.mark.parametrize("page", PAGES, ids=named)


# -- reasons


def sections():
    """Of the troubleshooting page: title -> text."""
    parts = re.split(r"^### (.+)$", TROUBLESHOOTING, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (text.split("\n## ")[0].strip() for text in parts[2::2]), strict=True))


def explained():
    """The reasons that have a section: those that are its title, or where several share one those that it begins with."""
    found = []
    for title, text in sections().items():
        found += [title] if " " not in title else re.findall(r"`([A-Za-z]+)`", text.split("\n\n")[0])
    return found


def test_every_reason_has_its_section_and_every_section_its_reason():
    found = explained()
    assert sorted(found) == sorted(set(found)), "explained twice"
    assert set(found) == set(Reason)


def test_every_section_says_something():
    assert [title for title, text in sections().items() if len(text) < 25] == []


# -- what is named exists


@cache
def functions(path):
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@every_page
def test_every_test_that_a_page_names_exists(page):
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text()):
        assert (REPOSITORY / path).is_file(), path
        assert not name or name in functions(REPOSITORY / path), f"{path} has no {name}"


@every_page
def test_every_file_that_a_page_names_exists(page):
    roots = (REPOSITORY, REPOSITORY / "operator", REPOSITORY / "operator" / "sovereigncloud")
    for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)+\.(?:py|sh|yml|lock|toml|md))`", page.read_text()):
        assert any((root / name).exists() for root in roots), name


def prose(text):
    """Without code, where brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(page):
    """Of the headings, as GitHub and Python-Markdown make them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", t)).strip().lower().replace(" ", "-")
        for t in titles
    }


@every_page
def test_every_link_leads_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{named(page)} links to {target}"
        assert not anchor or anchor in anchors(path), f"{named(page)} links to {target}#{anchor}"


def test_every_decision_has_a_number_of_its_own_and_is_in_the_index():
    numbers = [path.name[:4] for path in DOCS.glob("adr/0*.md")]
    assert sorted(numbers) == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    index = (DOCS / "adr" / "index.md").read_text()
    assert [path.name for path in DOCS.glob("adr/0*.md") if f"({path.name})" not in index] == []


def speaking():
    """Sources and files of the chart that people read and that may send them to a page."""
    for folder, suffixes in (
        ("operator", {".py"}),
        ("charts", {".yaml", ".txt", ".md", ".tpl", ".json"}),
        ("manifests", {".yaml"}),
    ):
        yield from (path for path in (REPOSITORY / folder).rglob("*") if path.suffix in suffixes)


def test_every_page_that_the_code_or_the_chart_names_exists():
    for source in speaking():
        for page, anchor in re.findall(r"\b(docs/[\w/.-]+\.md)(?:#([\w-]+))?", source.read_text()):
            assert (REPOSITORY / page).is_file(), f"{named(source)} names {page}"
            assert not anchor or anchor in anchors(REPOSITORY / page), f"{named(source)} names {page}#{anchor}"


# -- kinds


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.crd.kind)
def test_each_kind_has_a_page_that_teaches_by_an_example(kind):
    """Every example in a page is read as `sovereign plan` reads files: with every field known and right."""
    page = DOCS / "reference" / f"{kind.crd.kind.lower()}.md"
    by_hand = page.read_text().partition("<!-- Below: generated")[0]
    assert by_hand.count("\n## ") >= 2, "how to use it, how to change or delete it"
    assert any(document["kind"] == kind.crd.kind for _, document in examples(page))


def examples(page):
    """Complete manifests in a page, with the file that each says to be from."""
    for title, text in re.findall(r"```yaml(?: title=\"([^\"]+)\")?\n(.*?)```", page.read_text(), re.DOTALL):
        for document in yaml.safe_load_all(text):
            if isinstance(document, dict) and "apiVersion" in document:
                yield title, document


@every_page
def test_every_manifest_in_a_page_is_read(page, tmp_path):
    for title, document in examples(page):
        if document["apiVersion"].startswith("sovereigncloud.io/"):
            file = tmp_path / "example.yaml"
            file.write_text(yaml.safe_dump(document))
            assert [line for one in read([str(file)]) for line in problems(one)] == []
        if title:
            shown = document["metadata"]["name"]
            there = yaml.safe_load_all((REPOSITORY / title).read_text())
            assert any(contains(real, document) for real in there), f"{shown} is not as in {title}"


def contains(real, shown):
    """Whether what a page shows of an example is in it: keys and entries of lists may be left out."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(k in real and contains(real[k], v) for k, v in shown.items())
    if isinstance(shown, list):
        return isinstance(real, list) and all(any(contains(r, s) for r in real) for s in shown)
    return real == shown


# -- commands


def commands(page):
    """What a page tells to type: the lines after a prompt in its console blocks, joined where they go on."""
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
        for line in re.findall(r"^\$ (.+)$", block.replace("\\\n", " "), re.MULTILINE):
            yield line.partition("  #")[0].strip()


def sovereign(words):
    """The command and its options must exist."""
    command = typer.main.get_command(app)
    context = command.make_context("sovereign", [], resilient_parsing=True)
    while words and (found := getattr(command, "get_command", lambda *_: None)(context, words[0])) is not None:
        command, words = found, words[1:]
        context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
    assert not hasattr(command, "commands") or not words or words[0].startswith("-"), f"no command {words}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert [word for word in words if word.startswith("-") and word.partition("=")[0] not in known | {"-"}] == []


MAKEFILE = (REPOSITORY / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))


@every_page
def test_every_command_in_a_page_exists(page):
    for line in commands(page):
        for part in re.split(r"\s(?:\||&&)\s", line):
            words = shlex.split(part, comments=True)
            match words:
                case ["kubectl", "sovereign", *rest] | ["sovereign" | ".venv/bin/sovereign", *rest]:
                    sovereign(rest)
                case ["make", *targets]:
                    assert {t for t in targets if "=" not in t} <= TARGETS, line
                case ["helm", "install" | "upgrade", *rest] if any(word.startswith("charts/") for word in rest):
                    chart = next(word for word in rest if word.startswith("charts/"))
                    assert (REPOSITORY / chart / "Chart.yaml").is_file(), line
                case ["kubectl", "apply", "-k", path] if path.startswith("manifests/"):
                    assert (REPOSITORY / path / "kustomization.yaml").is_file(), line
                case _:
                    pass


def test_make_targets_are_phony_and_clean_takes_what_is_made():
    phony = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split())
    assert phony == TARGETS


def test_the_site_is_built_so_that_a_broken_link_fails_it():
    """With --quiet MkDocs hides the warnings that --strict counts."""
    (build,) = [line for line in MAKEFILE.splitlines() if "mkdocs build" in line and not line.startswith("#")]
    assert build.endswith("mkdocs build --strict")
    assert "$(MKDOCS)" in MAKEFILE.partition("\ncheck:")[2].partition("\n\n")[0]
