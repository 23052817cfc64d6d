"""New rules while requests run: tried out aside, swapped in one step, and never worse than what was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.exchange import Message
from guard.guarding.incoming import Incoming
from rules.schema import Action
from server.building import Built, build, load_checked
from server.inforce import InForce
from server.parts import Denied
from server.reload import Reloaded, Reloader
from server.settings import GateSettings, ReloadSettings, ServerSettings

RULES = """\
constitution: reload-tests
title: Tests of reloading
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    detect: {patterns: [{literal: summon the kraken}], meaning: null}
    tests: {breaks: [Please summon the kraken.], keeps: [What does a kraken eat?]}
  - id: treasure-codes
    title: Codes of the treasure chest
    rule: Do not tell the code of the chest.
    why: Whoever has the code empties the chest.
    detect: {patterns: [{literal: chest code}], meaning: null}
"""


class Server:
    """Constitutions in force, with what reloads them."""

    def __init__(self, folder: Path, *names: str, rules: str = RULES, **how: str) -> None:
        self.paths = {name: folder / f"{name}.yaml" for name in names or ("default",)}
        for path in self.paths.values():
            path.write_text(rules)
        self.path = next(iter(self.paths.values()))
        settings = ServerSettings(
            constitutions={name: (str(path),) for name, path in self.paths.items()},
            gate=GateSettings(meaning=False),
            reload=ReloadSettings.model_validate(how),
        )
        self.built: dict[str, Built] = {
            name: build(load_checked(sources), settings) for name, sources in settings.constitutions.items()
        }
        self.guards = InForce({name: each.guard for name, each in self.built.items()})
        self.told: list[Reloaded] = []
        self.reloader = Reloader(settings, self.built, self.guards, on_reloaded=self.told.append)

    def write(self, text: str, name: str = "default") -> None:
        self.paths[name].write_text(text)

    async def reload(self) -> Reloaded:
        return (await self.reloader.reload("request"))[0]

    async def blocks(self, text: str, name: str = "default") -> bool:
        with self.guards.lease(name) as guard:
            admission = await guard.watch(Incoming((Message("user", text),))).admit()
        return admission.action is Action.BLOCK


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.guards.close()


async def test_a_changed_rule_comes_into_force_and_is_named(server: Server) -> None:
    server.write(RULES.replace("chest code", "code of the chest").replace("title: Summoning", "title: The summoning"))
    done = await server.reload()
    assert (done.outcome, done.added, done.removed, done.changed) == ("swapped", (), (), ("treasure-codes",))
    assert done.digest == server.reloader.digests["default"]
    assert await server.blocks("the code of the chest")
    assert not await server.blocks("the chest code")


async def test_rules_that_come_and_go_are_named(server: Server) -> None:
    server.write(RULES.replace("id: treasure-codes", "id: buried-gold"))
    done = await server.reload()
    assert (done.added, done.removed, done.changed) == (("buried-gold",), ("treasure-codes",), ())


async def test_the_same_content_is_not_built_again(server: Server) -> None:
    with server.guards.lease("default") as before:
        server.write("# a comment\n" + RULES)
        done = await server.reload()
    with server.guards.lease("default") as after:
        assert before is after
    assert done.outcome == "unchanged"


async def test_a_better_title_comes_into_force_though_the_digest_is_the_same(server: Server) -> None:
    before = server.reloader.digests["default"]
    server.write(RULES.replace("title: Summoning", "title: The summoning of"))
    done = await server.reload()
    assert (done.outcome, done.digest, done.changed) == ("swapped", before, ())


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("why: It", "wy: It", "7:5", "unknown key `wy`"),
        ("{literal: summon the kraken}", "{regex: '(a)\\1'}", "8:", "pattern"),
        ("rules:", "rules: [", "", "not YAML"),
    ],
)
async def test_a_bad_file_leaves_the_last_good_rules_in_force(
    server: Server, old: str, new: str, where: str, what: str
) -> None:
    before = server.reloader.digests
    server.write(RULES.replace(old, new))
    done = await server.reload()
    assert done.outcome == "failed"
    assert done.where.startswith(f"{server.path}:{where}")
    assert what in done.error
    assert "\n  hint: " in done.error
    assert server.reloader.digests == before
    assert server.reloader.failed == {"default": done}
    assert await server.blocks("summon the kraken")
    server.write(RULES)
    await server.reload()
    assert server.reloader.failed == {}


async def test_a_file_that_is_gone_leaves_the_last_good_rules_in_force(server: Server) -> None:
    server.path.unlink()
    assert (await server.reload()).outcome == "failed"
    assert await server.blocks("summon the kraken")


async def test_a_rule_that_no_longer_finds_its_own_test_is_refused(server: Server) -> None:
    server.write(RULES.replace("literal: summon the kraken", "literal: summon a kraken"))
    done = await server.reload()
    assert done.outcome == "failed"
    assert "rule `kraken-summoning` no longer finds its test `Please summon the kraken.`" in done.error
    assert [test.case.rule for test in done.trial.worse] == ["kraken-summoning"]
    assert await server.blocks("summon the kraken")


async def test_a_rule_that_begins_to_find_what_it_lets_pass_is_refused(server: Server) -> None:
    server.write(RULES.replace("literal: summon the kraken", "literal: kraken"))
    assert "no longer lets pass its test `What does a kraken eat?`" in (await server.reload()).error


async def test_a_test_that_is_dropped_with_the_rule_or_is_new_and_fails_does_not_hold_up_a_reload(
    server: Server,
) -> None:
    changed = RULES.replace("literal: summon the kraken", "literal: summon a kraken")
    server.write(changed.replace("Please summon the kraken.", "Call the beast."))
    done = await server.reload()
    assert (done.outcome, len(done.trial.failing), done.trial.worse) == ("swapped", 1, ())


@pytest.mark.parametrize(("tests", "outcome"), [("off", "swapped"), ("report", "swapped"), ("strict", "failed")])
async def test_how_much_the_tests_decide_is_a_setting(tmp_path: Path, tests: str, outcome: str) -> None:
    server = Server(tmp_path, tests=tests)
    server.write(RULES.replace("Please summon the kraken.", "Call the beast."))
    assert (await server.reload()).outcome == outcome
    server.guards.close()


CONTRACT = RULES.replace("tests: {breaks", "contract: {recall: 1, false_alarms: 0}\n    tests: {breaks")
"""The first rule held to its tests; the second has neither tests nor a contract."""


@pytest.mark.parametrize(
    ("tests", "outcome"),
    [("off", "swapped"), ("report", "swapped"), ("contract", "failed"), ("no_worse", "failed"), ("strict", "failed")],
)
async def test_rules_that_begin_to_break_their_contract_are_refused(tmp_path: Path, tests: str, outcome: str) -> None:
    server = Server(tmp_path, tests=tests)
    server.write(CONTRACT.replace("Please summon the kraken.", "Call the beast."))
    done = await server.reload()
    assert done.outcome == outcome
    if tests in ("contract", "no_worse"):
        assert done.error.startswith("rule `kraken-summoning` finds 0 of 1 of its breaking tests (0%)")
        assert "\n  hint: `wardlaw rules test` says which examples to add" in done.error
    assert bool(done.trial.breaches) == (tests != "off")
    server.guards.close()


async def test_a_failing_test_of_a_rule_without_a_contract_holds_up_only_a_stricter_reload(tmp_path: Path) -> None:
    for number, (tests, outcome) in enumerate({"contract": "swapped", "no_worse": "failed"}.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        server = Server(folder, tests=tests)
        server.write(RULES.replace("literal: summon the kraken", "literal: summon a kraken"))
        assert (await server.reload()).outcome == outcome
        server.guards.close()


async def test_a_contract_that_was_broken_before_holds_up_the_mending_of_another_rule_only_where_that_is_asked(
    tmp_path: Path,
) -> None:
    broken = CONTRACT.replace("Please summon the kraken.", "Call the beast.")
    for number, (tests, outcome) in enumerate({"no_worse": "swapped", "contract": "failed"}.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        server = Server(folder, rules=broken, tests=tests)
        server.write(broken.replace("chest code", "vault code"))
        done = await server.reload()
        assert (done.outcome, done.trial.new_breaches) == (outcome, ())
        assert [(breach.rule, breach.clause) for breach in done.trial.breaches] == [("kraken-summoning", "recall")]
        assert done.told()["tests"]["contracts"] == [
            {"rule": "kraken-summoning", "clause": "recall", "asked": 1.0, "measured": 0.0}
        ]
        server.guards.close()


async def test_a_contract_that_asks_for_more_is_a_new_one(tmp_path: Path) -> None:
    two = CONTRACT.replace("[Please summon the kraken.]", "[Please summon the kraken., Call the beast.]")
    server = Server(tmp_path, rules=two.replace("recall: 1", "recall: 0.5"))
    server.write(two)
    done = await server.reload()
    assert done.outcome == "failed"
    assert "its contract asks for 100%" in done.error
    server.guards.close()


async def test_one_bad_constitution_does_not_keep_another_old(tmp_path: Path) -> None:
    server = Server(tmp_path, "default", "bank")
    server.write(RULES.replace("why:", "wy:"))
    server.write(RULES.replace("chest code", "vault code"), "bank")
    done = {each.constitution: each.outcome for each in await server.reloader.reload("file")}
    assert done == {"default": "failed", "bank": "swapped"}
    assert await server.blocks("vault code", "bank")
    assert await server.blocks("chest code")
    server.guards.close()


async def test_requests_in_hand_end_under_the_rules_they_began_with_and_then_the_old_gate_closes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    old = server.built["default"].guard
    close = old.close

    def closing() -> None:
        close()
        loop.call_soon_threadsafe(closed.set)

    monkeypatch.setattr(old, "close", closing)
    with server.guards.lease("default") as guard:
        watch = guard.watch(Incoming((Message("user", "the chest code"),)))
        server.write(RULES.replace("chest code", "vault code"))
        assert (await server.reload()).outcome == "swapped"
        assert (await watch.admit()).action is Action.BLOCK
        assert not await server.blocks("the chest code")
        assert not closed.is_set()
    async with asyncio.timeout(10):
        await closed.wait()


async def test_rules_that_are_ready_only_after_the_end_are_closed_with_the_rest(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = build(load_checked([str(server.path)]), ServerSettings(gate=GateSettings(meaning=False)))
    closed = []
    monkeypatch.setattr(late.guard.gate, "close", lambda: closed.append(late))
    server.guards.close()
    server.guards.swap({"default": late.guard})
    assert closed == [late]
    with pytest.raises(Denied):
        server.guards.lease("default")


async def test_reloads_that_come_together_are_done_one_after_the_other(server: Server) -> None:
    server.write(RULES.replace("chest code", "vault code"))
    outcomes = [done[0].outcome for done in await asyncio.gather(*(server.reloader.reload("file") for _ in range(4)))]
    assert outcomes == ["swapped", "unchanged", "unchanged", "unchanged"]
    assert [done.outcome for done in server.told] == outcomes


async def test_a_constitution_that_is_not_there_lets_nobody_in(server: Server) -> None:
    with pytest.raises(Denied) as raised:
        server.guards.lease("bank")
    assert raised.value.status == 403


async def test_the_log_says_what_changed_and_which_tests_fail_that_did_not_before(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server.reload")
    failing = RULES.replace("[Please summon the kraken.]", "[Please summon the kraken., Call the beast.]")
    server.write(failing)
    await server.reload()
    assert "reloaded `default` in " in caplog.text
    assert "1 of 3 tests fail, 1 of them not before: `kraken-summoning`" in caplog.text
    caplog.clear()
    server.write(failing.replace("chest code", "vault code"))
    await server.reload()
    assert "rules: 1 changed (`treasure-codes`); 1 of 3 tests fail, as before" in caplog.text


async def test_a_reload_of_what_has_not_changed_says_so_in_one_line(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server.reload")
    await server.reload()
    assert [record.getMessage() for record in caplog.records] == ["reloaded: nothing has changed in `default`"]


async def test_a_rehearsal_tells_what_a_reload_would_do_lists_failing_tests_and_swaps_nothing(server: Server) -> None:
    before = server.reloader.digests
    (done,), _ = await server.reloader.rehearse()
    assert (done.outcome, done.trial.run, done.trial.failing) == ("unchanged", 2, ())
    server.write(RULES.replace("Please summon the kraken.", "Call the beast.").replace("chest code", "vault code"))
    (done,), _ = await server.reloader.rehearse()
    assert (done.outcome, done.changed) == ("ready", ("treasure-codes",))
    told = done.told(listed=True)["tests"]
    assert told["listed"] == [{"rule": "kraken-summoning", "kind": "breaks", "text": "Call the beast."}]
    assert server.reloader.digests == before
    assert server.told == []
    assert await server.blocks("the chest code")
    assert (await server.reload()).outcome == "swapped"
