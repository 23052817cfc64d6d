"""`wardlaw rules promote`: all that is known of a candidate is shown, then one file takes the place of another."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.flips import Outcome
from rules.digest import constitution_digest
from rules.load import load
from rules.schema import Action
from server.audit.database import Database, database_url
from server.audit.shadow import Compared, Place, encode
from server.audit.writer import Writer
from server.cli.main import main
from tests.server.conftest import FakeUpstream, fake_upstream, fake_upstream_process
from tests.server.serving import RULES, Served, serve
from tests.server.shadow.conftest import CANDIDATE

__all__ = ["fake_upstream", "fake_upstream_process", "serve"]

GOLD = "the buried gold"


def digest(path: Path) -> str:
    return constitution_digest(load(path).constitution)


class Desk:
    """A folder with rules, a candidate, and what it said to some traffic."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rules, self.candidate = folder / "rules.yaml", folder / "candidate.yaml"
        self.rules.write_text(RULES)
        self.candidate.write_text(CANDIDATE)
        self.files = {RULES: digest(self.rules), CANDIDATE: digest(self.candidate)}

    def saw(self, flips: int, of: int, **more: Any) -> None:
        """Let the candidate have judged some traffic, so much of it stricter."""
        database = Database(database_url("", self.folder))
        quiet, blocked = Outcome(Action.ALLOW), Outcome(Action.BLOCK, {"gold-digging": 1.0})
        given = {"base": self.files[RULES], "candidate": self.files[CANDIDATE], "enforced": "base", **more}
        rows = []
        for n in range(of):
            new = blocked if n < flips else quiet
            places = (Place("messages[0]", "prompt", quiet, new),) if n < flips else ()
            rows.append(Compared(f"d_{n:04}", time.time() - n, "default", old=quiet, new=new, places=places, **given))
        Writer(database, self.folder).write([encode(each) for each in rows], [], "w")
        database.close()

    def promote(self, *args: str) -> int:
        usual = ["--over", str(self.rules), "--folder", str(self.folder), "--no-meaning"]
        return main(["rules", "promote", str(self.candidate), *usual, *args])

    @property
    def kept(self) -> Path:
        return self.folder / f"rules.yaml.{self.files[RULES]}"

    def is_untouched(self) -> bool:
        left = {path.name for path in self.folder.iterdir()} - {"audit.sqlite", "audit.sqlite-wal", "audit.sqlite-shm"}
        left = {name for name in left if not name.startswith("audit.sqlite")}
        return self.rules.read_text() == RULES and left == {"rules.yaml", "candidate.yaml"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_candidate_takes_the_place_of_the_rules_and_the_old_ones_stay_beside(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.saw(3, 1000)
    assert desk.promote("--yes") == 0
    assert desk.rules.read_text() == CANDIDATE
    assert desk.kept.read_text() == RULES
    told = capsys.readouterr().out
    assert "+ gold-digging" in told
    assert "judged in shadow: 1,000 decisions" in told
    assert "stricter        3  0.3% (0.062% to 0.9%)" in told
    assert "allow -> block: gold-digging 1.00" in told
    assert "all 4 tests pass" in told
    assert told.count("of 3 no text was kept; to keep texts from now on, set `audit: {content: full}`") == 1


def test_json_has_everything(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.saw(3, 1000)
    assert desk.promote("--yes", "--json", "-n", "2") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["promoted"], told["kept"], told["refused"]) == (True, str(desk.kept), [])
    assert (told["rules"]["digest"], told["candidate"]["digest"]) == tuple(desk.files.values())
    assert told["traffic"]["flips"]["stricter"]["count"] == 3
    assert [each["rule"] for each in told["traffic"]["rules"]] == ["gold-digging"]
    assert [each["decision"] for each in told["traffic"]["worst"]] == ["d_0000", "d_0001"]
    assert told["traffic"]["worst"][0]["base"]["action"] == "allow"
    assert told["tests"]["run"] == 4


def test_json_without_yes_only_tells(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.saw(3, 1000)
    assert desk.promote("--json") == 0
    assert json.loads(capsys.readouterr().out)["promoted"] is False
    assert desk.promote("--json", "--max-stricter", "0.1%") == 1
    assert "up to 0.87% of decisions" in json.loads(capsys.readouterr().out)["refused"][0]["what"]
    assert desk.is_untouched()


def test_where_no_audit_is_named_and_there_is_none_that_is_said(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    assert main(["rules", "promote", "candidate.yaml", "--over", "rules.yaml", "--no-meaning", "--yes"]) == 0
    assert "no traffic was looked at: no database" in capsys.readouterr().out
    assert desk.rules.read_text() == CANDIDATE
    assert main(["rules", "promote", "candidate.yaml", "--over", "rules.yaml", "--folder", "x", "--yes"]) == 2


def test_a_no_changes_nothing_and_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    desk.saw(0, 10)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert desk.promote() == 1
    assert f"nothing was changed: {desk.rules} is {desk.files[RULES]} as before" in capsys.readouterr().out
    assert desk.is_untouched()


@pytest.mark.parametrize(("bound", "code"), [("1%", 0), ("0.5%", 1)])
def test_a_bound_is_held_against_the_upper_end_of_the_range(desk: Desk, bound: str, code: int) -> None:
    desk.saw(3, 1000)  # 0.3%, and up to 0.87%
    assert desk.promote("--yes", "--max-stricter", bound) == code
    assert desk.is_untouched() is bool(code)


def test_without_traffic_a_bound_is_not_kept(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.saw(0, 10, base="0123456789abcdef")
    assert desk.promote("--yes", "--max-flips", "50%") == 1
    told = capsys.readouterr().out
    assert "no traffic shows that at most 50% is judged otherwise" in told
    assert "10 decisions more beside other rules (0123456789abcdef)" in told
    assert desk.is_untouched()


def test_decisions_in_which_a_detector_failed_say_nothing(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.saw(5, 50, degraded=True)
    assert desk.promote("--yes", "--json") == 0
    traffic = json.loads(capsys.readouterr().out)["traffic"]
    assert (traffic["judged"], traffic["degraded"], traffic["worst"]) == (0, 50, [])


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (
            "    tests: {breaks: [Where is the",
            "    contract: {recall: 0.9}\n    tests: {breaks: [Where is the hoard?, Where is the",
            "asks for 90%",
        ),
        ("Please summon the great kraken for me.", "Please summon the kraken for me.", "no longer finds its test"),
    ],
    ids=["contract", "test"],
)
def test_a_contract_or_a_test_that_fails_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str], old: str, new: str, what: str
) -> None:
    desk.saw(0, 10)
    assert old in CANDIDATE
    desk.candidate.write_text(CANDIDATE.replace(old, new))
    assert desk.promote("--yes") == 1
    assert what in capsys.readouterr().out
    assert desk.rules.read_text() == RULES


def test_a_candidate_whose_extends_would_not_resolve_is_refused_before_anything_is_touched(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    other = desk.folder / "drafts"
    other.mkdir()
    (other / "more.yaml").write_text(RULES.replace("kraken", "hydra"))
    desk.candidate = other / "candidate.yaml"
    desk.candidate.write_text(CANDIDATE.replace("rules:", "extends: [./more.yaml]\nrules:"))
    assert desk.promote("--yes") == 2
    assert "does not load in the place of the rules" in capsys.readouterr().err
    assert desk.rules.read_text() == RULES
    assert {path.name for path in desk.folder.iterdir()} == {"rules.yaml", "candidate.yaml", "drafts"}


def test_a_candidate_that_finds_another_file_by_the_same_name_there_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    other = desk.folder / "drafts"
    other.mkdir()
    (other / "more.yaml").write_text(RULES.replace("kraken", "hydra"))
    (desk.folder / "more.yaml").write_text(RULES.replace("kraken", "sphinx"))
    desk.candidate = other / "candidate.yaml"
    desk.candidate.write_text(CANDIDATE.replace("rules:", "extends: [./more.yaml]\nrules:"))
    assert desk.promote("--yes") == 2
    assert "comes to other rules in the folder" in capsys.readouterr().err
    assert desk.rules.read_text() == RULES


def test_a_candidate_that_extends_the_rules_it_would_replace_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.candidate.write_text(CANDIDATE.replace("rules:", "extends: [./rules.yaml]\nrules:"))
    assert desk.promote("--yes") == 2
    assert "in whose place it would stand" in capsys.readouterr().err
    assert desk.rules.read_text() == RULES


@pytest.mark.parametrize("bad", ["base", "nowhere.yaml", "."])
def test_only_a_file_can_be_replaced(desk: Desk, capsys: pytest.CaptureFixture[str], bad: str) -> None:
    assert main(["rules", "promote", str(desk.candidate), "--over", bad, "--yes"]) == 2
    assert "--over" in capsys.readouterr().err


def test_rules_that_do_not_come_to_the_candidates_digest_are_put_back(desk: Desk) -> None:
    from rules.errors import WardlawError
    from server.cli.rules._swap import read_pair, staged, swap

    pair = read_pair(str(desk.candidate), str(desk.rules))
    with staged(pair) as path, pytest.raises(WardlawError, match="the old rules are back"):
        swap(pair, path, "abc", lambda: desk.rules.read_text() != CANDIDATE)
    assert desk.rules.read_text() == RULES


def test_rules_that_were_changed_meanwhile_are_not_overwritten(desk: Desk) -> None:
    from rules.errors import WardlawError
    from server.cli.rules._swap import read_pair, staged, swap

    pair = read_pair(str(desk.candidate), str(desk.rules))
    desk.rules.write_text("# mine\n" + RULES)
    with staged(pair) as path, pytest.raises(WardlawError, match="was changed while"):
        swap(pair, path, "abc", lambda: True)
    assert desk.rules.read_text() == "# mine\n" + RULES


def test_with_the_servers_settings_its_gate_runs_the_tests(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.saw(0, 1)
    config = desk.folder / "wardlaw.yml"
    where = [str(desk.candidate), "--over", str(desk.rules), "--config", str(config), "--json"]
    config.write_text(f"folder: {desk.folder}\ngate: {{meaning: false}}\n")
    assert main(["rules", "promote", *where]) == 0
    assert json.loads(capsys.readouterr().out)["traffic"]["judged"] == 1
    config.write_text(f"folder: {desk.folder}\ngate: {{heads: nowhere}}\n")
    assert main(["rules", "promote", *where]) == 2
    assert "no folder of heads `nowhere`" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told_of(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    import resource

    desk.saw(0, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # a full disk
    try:
        assert desk.promote("--yes") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written" in capsys.readouterr().err
    assert desk.is_untouched()


def test_a_link_goes_on_pointing_where_it_did_and_rights_stay(desk: Desk) -> None:
    (desk.folder / "real").mkdir()
    real = desk.rules.rename(desk.folder / "real" / "rules.yaml")
    real.chmod(0o640)
    desk.rules.symlink_to(real)
    desk.saw(0, 1)
    assert desk.promote("--yes") == 0
    assert desk.rules.is_symlink()
    assert real.read_text() == CANDIDATE
    assert real.stat().st_mode & 0o777 == 0o640


def test_from_shadow_to_force(serve: Callable[..., Served], fake_upstream: FakeUpstream) -> None:
    served = serve("--shadow", "candidate.yaml", files={"candidate.yaml": CANDIDATE}).ready()
    for _ in range(20):
        assert not served.blocks(GOLD)
    served.until(lambda: served.health()["constitutions"]["default"]["candidate"]["judged"] == 20)
    # the audit's thread writes some times a second
    served.until(lambda: len(served.command("audit", "list", "--flips", "--folder", "data").stdout.splitlines()) == 21)
    where = ["candidate.yaml", "--over", "rules.yaml", "--folder", "data", "--no-meaning"]
    told = json.loads(served.command("rules", "promote", *where, "--server", served.url, "--yes", "--json").stdout)
    assert told["traffic"]["flips"]["stricter"]["count"] == 20
    assert told["server"]["constitutions"]["default"]["digest"] == told["candidate"]["digest"]
    assert served.blocks(GOLD)
    health = served.health()["constitutions"]["default"]
    assert health["digest"] == told["candidate"]["digest"] == health["candidate"]["digest"]
    assert health["candidate"]["same"] is True


def test_a_server_that_cannot_be_asked_is_told_of(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.saw(0, 1)
    assert desk.promote("--yes", "--server", "http://127.0.0.1:9") == 1
    told = capsys.readouterr().out
    assert "the server was not reloaded" in told
    assert f"cp {desk.kept} {desk.rules}" in told


def test_the_new_rules_belong_to_whom_the_old_ones_did(desk: Desk) -> None:
    if os.getuid() != 0:
        pytest.skip("only the superuser can give a file away")
    desk.saw(0, 10)
    os.chown(desk.rules, 1234, 1235)
    desk.rules.chmod(0o640)
    assert desk.promote("--yes") == 0
    for path in (desk.rules, desk.kept):
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 1235, 0o640)


def test_a_copy_of_the_old_rules_that_the_disk_has_no_room_for_leaves_nothing(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    # As a disk that fills up: no file of this process may grow beyond the candidate's size, which is the smaller one.
    desk.saw(0, 10)
    desk.rules.write_text(RULES + "# " + "x" * 400_000 + "\n")
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, room[1]))
    try:
        assert desk.promote("--yes") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
        signal.signal(signal.SIGXFSZ, before)
    assert "that the disk has room" in capsys.readouterr().err
    assert {path.name for path in desk.folder.iterdir() if "audit" not in path.name} == {"rules.yaml", "candidate.yaml"}
    assert desk.promote("--yes") == 0
