from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import server.cli
from rules.errors import Location, RuleError, WardlawError
from server.cli.main import cli, main

ROOT = Path(__file__).parents[3]


def wardlaw(*args: str, **more: object) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    command = [sys.executable, "-m", "server.cli.main", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, **more)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Add a command file to the folder that is searched."""
    monkeypatch.setattr(server.cli, "__path__", [*server.cli.__path__, str(tmp_path)])

    def add(name: str, body: str) -> None:
        lines = "\n    ".join(body.splitlines())
        source = f"import click\nfrom rules.errors import WardlawError\n@click.command()\ndef command():\n    {lines}\n"
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, f"server.cli.{name}", raising=False)

    return add


def test_every_file_of_the_folder_is_a_command() -> None:
    names = cli.list_commands(click.Context(cli))
    assert {"init", "rules"} <= set(names)
    assert "main" not in names
    for name in names:
        assert isinstance(cli.get_command(click.Context(cli), name), click.Command)


def test_a_new_file_is_a_command_and_one_with_an_underscore_is_not(
    commands: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    commands("say_hello", "click.echo('hello')")
    commands("_helper", "click.echo('never')")
    assert main(["say-hello"]) == 0
    assert capsys.readouterr().out == "hello\n"
    assert main(["-helper"]) == 2
    assert main(["_helper"]) == 2


def test_an_error_of_the_user_is_told_in_one_line_and_a_hint(
    commands: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    commands("err_plain", "raise WardlawError('the model is gone', 'bring it back')")
    assert main(["err-plain"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: the model is gone\n  hint: bring it back\n"


def test_errors_of_several_tasks_are_each_told_once(
    commands: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    body = "one = WardlawError('one', 'mend it')\nraise ExceptionGroup('g', [one, ExceptionGroup('h', [one])])"
    commands("err_group", body)
    assert main(["err-group"]) == 2
    assert capsys.readouterr().err == "error: one\n  hint: mend it\n"


def test_a_fault_of_the_program_is_not_dressed_up_as_the_users(commands: Callable[[str, str], None]) -> None:
    commands("err_own", "raise ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        main(["err-own"])
    commands("err_mixed", "raise ExceptionGroup('g', [WardlawError('x'), ZeroDivisionError()])")
    with pytest.raises(ExceptionGroup):
        main(["err-mixed"])


@pytest.mark.parametrize(
    ("body", "code"), [("raise KeyboardInterrupt", 130), ("raise click.Abort", 130), ("return 7", 7)]
)
def test_an_interrupt_and_a_returned_number_are_the_exit_code(
    body: str, code: int, commands: Callable[[str, str], None]
) -> None:
    name = f"code{code}x{len(body)}"
    commands(name, body)
    assert main([name]) == code


def test_an_unknown_command_is_answered_with_the_right_one() -> None:
    done = wardlaw("rulse", "check")
    assert done.returncode == 2
    assert "no command `rulse`\n  hint: did you mean `rules`?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_option_is_a_usage_error() -> None:
    done = wardlaw("rules", "check", "--no-such-option")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no option `--no-such-option`\n  hint: see `wardlaw rules check --help`\n"


@pytest.mark.parametrize(
    ("args", "said", "hint"),
    [
        (["generate", "p.txt", "--round", "1"], "no option `--round`", "did you mean `--rounds`?"),
        (["generate", "p.txt", "--rounds", "0"], "0 is not in the range 1<=x<=1000", "`wardlaw generate --help`"),
        (["generate"], "missing argument `PROMPTS...`", "`wardlaw generate --help`"),
        (["rows", "/no/such"], "invalid value for `FOLDER`", "`wardlaw rows --help`"),
        (["rulse"], "no command `rulse`", "did you mean `rules`?"),
    ],
)
def test_wrong_usage_is_told_like_every_other_error(
    args: list[str], said: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert said in first
    assert second.startswith("  hint: ")
    assert hint in second


def test_the_version_is_that_of_the_distribution() -> None:
    assert wardlaw("--version").stdout.startswith("wardlaw ")


def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "server.cli.main", "rules", "schema"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode != 0


@pytest.mark.parametrize(
    "args", [["--help"], ["rules", "check", "server/cli/_starter/rules.yaml"]], ids=["help", "check"]
)
def test_what_has_to_start_fast_loads_no_heavy_library(args: list[str]) -> None:
    heavy = {"torch", "transformers", "sentence_transformers", "numpy", "aiohttp", "xllamacpp", "pyarrow", "jinja2"}
    heavy |= {"matplotlib", "rich", "datasets", "tenacity"}
    code = (
        "import sys; from server.cli.main import main; main(sys.argv[1:]);"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, cwd=ROOT, check=False)
    loaded = {word.strip("[]',\n") for word in done.stderr.splitlines()[-1].split()}
    assert "click" in loaded
    assert not loaded & heavy


def test_a_rule_error_outside_a_file_prints_without_a_place() -> None:
    assert str(RuleError(None, "nothing there", "look")) == "nothing there\n  hint: look"
    assert str(RuleError(Location("a.yaml", 2, 3), "bad")) == "a.yaml:2:3: bad"
    assert issubclass(RuleError, WardlawError)
