"""The loop's critique and revision as the guard calls them: one round, for one answer, while its reader waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from constitution.calls import most_tokens
from constitution.checks import answer_faults, is_parroted, is_unchanged, still_quoted
from constitution.critique import critique_messages, critique_schema, located, read_critique
from constitution.desk import seed_of
from constitution.revise import read_revision, revision_messages
from constitution.row import ModelRole
from constitution.settings import SAMPLING
from constitution.templates import Templates, TemplateSet
from guard.exchange import Message
from guard.guarding.reviser import Revised
from guard.language import language_among, load_statistics
from guard.models.base import Ask, ChatModel, Reply, Sampling, Usage
from rules.schema import Constitution, Critique, Rule

T = TypeVar("T")

_LEAST = 48
"""Tokens that a call must be allowed to write; with fewer it would only be cut off."""


class LoopReviser:
    """Mends answers as the loop does: a critic quotes what breaks the rule, and a reviser rewrites. Keeps nothing; any
    number of rounds may run at once. The models are the caller's to close."""

    def __init__(
        self,
        constitution: Constitution,
        templates: TemplateSet | None,
        critic: ChatModel,
        reviser: ChatModel,
        *,
        sampling: Mapping[ModelRole, Sampling] | None = None,
        tries: int = 2,
    ) -> None:
        """A reviser; takes half a second to make.

        Args:
            constitution: its rules can be asked about.
            templates: the loop's, in all languages; those that ship where it is None.
            critic: who criticises.
            reviser: who rewrites; may be the same model.
            sampling: how `critic` and `reviser` are drawn; as in the loop where left out.
            tries: how often a critique or a revision is asked for until it passes.
        """
        self._rules = {rule.id: rule for rule in constitution}
        self._templates = templates or TemplateSet.read()
        self._models: Mapping[ModelRole, ChatModel] = {"critic": critic, "reviser": reviser}
        self._sampling = {**SAMPLING, **(sampling or {})}
        self._tries = tries
        load_statistics()  # the checks ask for them; later, the first revision would hold up an event loop

    async def revise(self, rule: str, conversation: Sequence[Message], answer: str, *, tokens: int) -> Revised:
        """One round; see `guard.guarding.reviser.Reviser`.

        Raises:
            KeyError: no such rule.
            ModelError: a model could not answer.
        """
        question = next((turn.content for turn in reversed(conversation) if turn.role == "user"), "")
        work = _Round(
            self._rules[rule],
            self._templates.of(language_among(question, self._templates.by_language)),
            conversation,
            question,
            answer,
        )
        purse = _Purse(tokens)
        critique = await self._tried("critic", work.ask_critic(), work.critique, purse)
        if critique is None:
            return Revised(None, purse.usage, why=purse.why or "no critique came that could be relied on")
        if critique.verdict == "keeps":
            return Revised(answer, purse.usage, kept=True)
        text = await self._tried(
            "reviser", work.ask_reviser(critique), lambda reply: work.revision(reply, critique), purse
        )
        if text is None:
            return Revised(None, purse.usage, why=purse.why or "no revision came that passes the loop's checks")
        return Revised(text, purse.usage)

    async def _tried(self, role: ModelRole, ask: Ask, read: Callable[[Reply], T | None], purse: _Purse) -> T | None:
        """What is read in the first of the model's replies that has the right shape.

        `ask` says how many tokens are needed at least; the rest of its sampling is the role's.
        """
        drawn = self._sampling[role]
        drawn = replace(drawn, max_tokens=max(drawn.max_tokens, ask.sampling.max_tokens))
        for attempt in range(self._tries):
            seed = seed_of(role, attempt, *(turn.content for turn in ask.messages[-1:]))
            within = purse.fit(replace(ask, sampling=replace(drawn, seed=seed)))
            if within is None:
                return None
            reply = await self._models[role].chat(within)
            purse.pay(within, reply)
            found = read(reply)
            if found is not None:
                return found
        return None


class _Round:
    """One case: what is asked about it, and how the replies are read."""

    def __init__(
        self, rule: Rule, templates: Templates, conversation: Sequence[Message], question: str, answer: str
    ) -> None:
        self._rule = rule
        self._templates = templates
        self._conversation = [turn for turn in conversation if turn.content]
        self._question = question
        self._answer = answer

    def ask_critic(self) -> Ask:
        messages = critique_messages(self._templates, self._rule, self._conversation, self._answer)
        schema: Mapping[str, Any] = critique_schema(self._answer)
        return Ask(messages, Sampling(max_tokens=0), schema)

    def critique(self, reply: Reply) -> Critique | None:
        """The critique, if it can be relied on: one that sees a break quotes it from the answer."""
        found = read_critique(reply.text, self._answer)
        if found is None or found.verdict == "keeps":
            return found
        quoted = bool(found.quotes) and all(located(quote, self._answer) is not None for quote in found.quotes)
        return found if quoted else None

    def ask_reviser(self, critique: Critique) -> Ask:
        messages = revision_messages(self._templates, self._rule, self._conversation, self._answer, critique)
        # A new answer may be as long as the old one, which can be longer than any in the loop.
        size = len(self._answer.encode("utf-8", "surrogatepass")) // 3
        return Ask(messages, Sampling(max_tokens=size + _LEAST))

    def revision(self, reply: Reply, critique: Critique) -> str | None:
        """The new answer, if it passes the loop's checks; the gate's word on it is the guard's to ask for."""
        text, templates = read_revision(reply.text), self._templates
        if answer_faults(text, self._question, templates, finish=reply.finish) is not None:
            return None
        shots = templates.shots(self._rule, templates.revision.shots, breaking=True)
        faults = (
            is_parroted(text, (shot.revision or "" for shot, _ in shots)),
            is_unchanged(self._answer, text),
            still_quoted(critique.quotes, text),
        )
        return None if any(fault is not None for fault in faults) else text


class _Purse:
    """The tokens that one round may cost."""

    def __init__(self, tokens: int) -> None:
        self.usage = Usage()
        self.why = ""
        """Why a call was not made."""
        self._left = tokens

    def fit(self, ask: Ask) -> Ask | None:
        """The ask with no more tokens to write than are left; None where too few are."""
        read = most_tokens(ask) - ask.sampling.max_tokens
        room = min(ask.sampling.max_tokens, self._left - read)
        if room < _LEAST:
            self.why = "out of tokens"
            return None
        return replace(ask, sampling=replace(ask.sampling, max_tokens=room))

    def pay(self, ask: Ask, reply: Reply) -> None:
        """Take off what a call has cost, by a careful guess where the model does not tell."""
        told = reply.usage
        if not told.prompt and not told.completion:
            written = len((reply.text + (reply.reasoning or "")).encode("utf-8", "surrogatepass")) // 3
            told = Usage(most_tokens(ask) - ask.sampling.max_tokens, written)
        self.usage += told
        self._left -= told.prompt + told.completion
