"""The gate: an exchange and a constitution in, a verdict out. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from weakref import WeakKeyDictionary

from guard.batching import Batcher
from guard.cascade import Cascade, Case
from guard.coverage import Plan
from guard.detectors.base import NOTHING, Detector, parts
from guard.exchange import Exchange
from guard.memory import REMEMBERED, Memory, key_of
from guard.portal import Portal
from guard.turns import Joined, crossing, earlier_turns, join
from guard.verdict import Verdict
from rules.schema import Constitution, Part

INLINE_LIMIT = 16_384
"""Characters up to which instant detectors run on the event loop itself: tens of microseconds."""

BATCH_LIMIT = 64
"""Exchanges that share one run of the models."""

_REMEMBERED: Mapping[str, float] = {"memory": 0.0}


class Gate:
    """Judges exchanges by a constitution. Safe to use from several threads and event loops."""

    def __init__(
        self,
        constitution: Constitution,
        detectors: Sequence[Detector],
        *,
        thorough: bool = False,
        remember: int = REMEMBERED,
    ) -> None:
        """A gate of ready detectors, cheapest first, which it closes with itself.

        Args:
            constitution: the rules in force.
            detectors: what looks for them.
            thorough: let every detector look at every text, also where an earlier one has settled it: for scores that
                are to be compared. Without it a settled text costs no more than what settled it.
            remember: how many verdicts to keep; 0 keeps none.
        """
        self.constitution = constitution
        self.detectors = tuple(detectors)
        self._cascade = Cascade(constitution, detectors, thorough=thorough)
        self.digest = self._cascade.digest
        self._memory = Memory(remember)
        self._executor: ThreadPoolExecutor | None = None
        self._portal: Portal | None = None
        self._batchers: WeakKeyDictionary[asyncio.AbstractEventLoop, Batcher[Case, Case]] = WeakKeyDictionary()

    @classmethod
    def build(
        cls,
        constitution: Constitution,
        *,
        encoder: str | None = "default",
        heads: Path | Literal["shipped"] | None = "shipped",
        also: Sequence[Detector] = (),
        thorough: bool = False,
        threads: int | None = None,
    ) -> Gate:
        """A gate of all detectors, loaded and ready.

        Args:
            constitution: the rules in force.
            encoder: a sentence-transformers model by id or path for the meaning detector; `default` is
                all-MiniLM-L6-v2; None leaves meaning out, and then no model is loaded; none is loaded either where no
                rule asks for meaning.
            heads: folder of trained heads; `shipped` takes those of the packs wherever they were made for the encoder;
                None judges by examples alone.
            also: further detectors, as a judge, which stand last.
            thorough: see `Gate`.
            threads: cores the encoder may use; all that this process may where left out.

        Raises:
            PatternError: a pattern cannot be scanned safely.
            EncoderError: the encoder cannot be loaded.
            HeadsError: the heads cannot be read, or belong to another encoder.
        """
        from guard.detectors.patterns import Patterns

        detectors: list[Detector] = [Patterns(constitution)]
        # A thorough gate tells topics as well, of rules too that are not looked for by meaning.
        if encoder is not None and (thorough or any(rule.detect and rule.detect.meaning for rule in constitution)):
            from guard.detectors.opening import meaning_detectors

            detectors += meaning_detectors(constitution, encoder, heads, thorough=thorough, threads=threads)
        return cls(constitution, [*detectors, *also], thorough=thorough)

    @property
    def identity(self) -> str:
        """What determines its verdicts: the constitution's digest, and each detector with its models."""
        return " ".join([f"constitution={self.digest}", *(detector.identity for detector in self.detectors)])

    @property
    def wait_s(self) -> float:
        """Seconds that a text which needs the models would wait for those before it, on the running event loop."""
        batcher = self._batchers.get(asyncio.get_running_loop())
        return batcher.wait_s if batcher is not None else 0.0

    def judge(self, exchange: Exchange) -> Verdict:
        """Judge the last message of an exchange. Blocks while models run; on an event loop use `ajudge`."""
        return self.judge_many((exchange,))[0]

    def judge_many(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Judge the last message of each exchange, in one batch through each detector.

        Where the last message is a user's and users spoke before, the last turns are looked at together as well; those
        before are judged on the way, or remembered.

        Returns:
            one verdict an exchange, in order. `ms` is the exchange's share of the batch's time.
        """
        earlier = [earlier_turns(exchange) for exchange in exchanges]
        if not any(earlier):
            return [self._judge_one(exchanges[0])] if len(exchanges) == 1 else self._judge_alone(exchanges)
        flat = [turn for turns in earlier for turn in turns]
        alone = iter(self._judge_alone([*flat, *exchanges]))
        told = [[(turn, next(alone)) for turn in turns] for turns in earlier]
        verdicts = list(alone)
        pieces = [join(exchange, turns) for exchange, turns in zip(exchanges, told, strict=True)]
        looks = [place for place, piece in enumerate(pieces) if piece is not None]
        joined = self._judge_alone([piece.exchange for piece in pieces if piece is not None])
        for place, seen in zip(looks, joined, strict=True):
            verdicts[place] = self._with_joined(verdicts[place], pieces[place], seen)
        return verdicts

    async def ajudge(self, exchange: Exchange) -> Verdict:
        """Judge without holding up the event loop; concurrent callers share batches through the models."""
        earlier = earlier_turns(exchange)
        if not earlier:
            return await self._ajudge_alone(exchange)
        *told, verdict = await asyncio.gather(*(self._ajudge_alone(turn) for turn in (*earlier, exchange)))
        piece = join(exchange, list(zip(earlier, told, strict=True)))
        if piece is None:
            return verdict
        return self._with_joined(verdict, piece, await self._ajudge_alone(piece.exchange))

    def judge_stretch(self, exchange: Exchange, read: Collection[str]) -> Verdict:
        """Judge a stretch of a stream, which is not remembered. Blocks while models run.

        Args:
            exchange: its last message is the stretch.
            read: names of the detectors that have read the stream themselves and need not look.
        """
        case = _case_of_stretch(exchange, read)
        self._cascade.look((case,), self._cascade.instant)
        self._cascade.look((case,), self._cascade.models)
        if self._cascade.needs_asking(case):
            self._portal_of().run(self._cascade.ask((case,)))
        return self._cascade.verdict(case)

    async def ajudge_stretch(self, exchange: Exchange, read: Collection[str]) -> Verdict:
        """As `judge_stretch`, without holding up the event loop."""
        return await self._look_at(_case_of_stretch(exchange, read))

    def plan(self, under: Sequence[Part], skipped: Mapping[str, str]) -> Plan:
        """What follows for some parts before any text is seen; worked out once.

        Args:
            under: the parts.
            skipped: detector -> why it does not look.
        """
        return self._cascade.plan(tuple(under), tuple(sorted(skipped.items())))

    def close(self) -> None:
        """Close the detectors and the worker threads. May be called twice."""
        executor, self._executor = self._executor, None
        portal, self._portal = self._portal, None
        self._batchers.clear()
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)
        if portal is not None:
            portal.close()
        for detector in self.detectors:
            detector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False

    def _judge_alone(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Verdicts on the last messages, without a look over joined turns."""
        keys = [key_of(exchange) for exchange in exchanges]
        verdicts = {key: known for key in keys if (known := self._recall(key)) is not None}
        open_cases = {key: Case(exchange) for key, exchange in zip(keys, exchanges, strict=True) if key not in verdicts}
        cases = list(open_cases.values())
        if cases:
            self._cascade.look(cases, self._cascade.instant)
            self._cascade.look(cases, self._cascade.models)
            asking = [case for case in cases if self._cascade.needs_asking(case)]
            if asking:
                self._portal_of().run(self._cascade.ask(asking))
        for key, case in open_cases.items():
            verdicts[key] = self._cascade.verdict(case)
            self._memory.put(key, verdicts[key])
        return [verdicts[key] for key in keys]

    def _judge_one(self, exchange: Exchange) -> Verdict:
        """As `_judge_alone`, without what a batch needs: of plain requests, that is a fifth of the gate's work."""
        key = key_of(exchange)
        known = self._recall(key)
        if known is not None:
            return known
        case, cascade = Case(exchange), self._cascade
        cascade.look((case,), cascade.instant)
        if cascade.models:
            cascade.look((case,), cascade.models)
        if cascade.asked and cascade.needs_asking(case):
            self._portal_of().run(cascade.ask((case,)))
        verdict = cascade.verdict(case)
        self._memory.put(key, verdict)
        return verdict

    async def _ajudge_alone(self, exchange: Exchange) -> Verdict:
        key = key_of(exchange)
        known = self._recall(key)
        if known is not None:
            return known
        verdict = await self._look_at(Case(exchange))
        self._memory.put(key, verdict)
        return verdict

    async def _look_at(self, case: Case) -> Verdict:
        if sum(len(text) for _, text in parts(case.exchange)) <= INLINE_LIMIT:
            self._cascade.look((case,), self._cascade.instant)
            waiting = self._cascade.needs(case, self._cascade.models)
        else:
            waiting = True
        if waiting:
            await self._batcher().ask(case)
        if self._cascade.needs_asking(case):
            await self._portal_of().ask(self._cascade.ask((case,)))
        return self._cascade.verdict(case)

    def _recall(self, key: bytes) -> Verdict | None:
        known = self._memory.get(key)
        return None if known is None else replace(known, ms=_REMEMBERED)

    def _with_joined(self, verdict: Verdict, piece: Joined | None, seen: Verdict) -> Verdict:
        """The verdict with what only the joined turns show."""
        if piece is None:
            return verdict
        ms = {**verdict.ms, "joined": sum(seen.ms.values())}
        crossed = crossing(piece, seen.findings, verdict.findings)
        if not crossed:
            return replace(verdict, ms=ms)
        return self._cascade.with_findings(replace(verdict, ms=ms), crossed)

    def _work(self, cases: Sequence[Case]) -> Sequence[Case]:
        self._cascade.look(cases, self._cascade.instant)
        self._cascade.look(cases, self._cascade.models)
        return cases

    def _batcher(self) -> Batcher[Case, Case]:
        loop = asyncio.get_running_loop()
        batcher = self._batchers.get(loop)
        if batcher is None:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="wardlaw-gate")
            batcher = self._batchers[loop] = Batcher(self._work, self._executor, BATCH_LIMIT)
        return batcher

    def _portal_of(self) -> Portal:
        if self._portal is None:
            self._portal = Portal("wardlaw-gate-ask")
        return self._portal


def _case_of_stretch(exchange: Exchange, read: Collection[str]) -> Case:
    case = Case(exchange)
    case.scans.update(dict.fromkeys(read, NOTHING))
    return case
