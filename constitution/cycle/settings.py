"""The cycle file: which rules, which models, and what each step does. Paths count from the file's own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from constitution.choice import Choice
from constitution.cycle.fields import (
    AtLeastOne,
    EncoderName,
    File,
    HeadsName,
    HerePath,
    Model,
    Part,
    Prompts,
    RuleIds,
    Rules,
    Share,
    Whole,
)
from rules.base import Closed, NonEmpty, RuleId, refusal
from rules.closed_file import Placed, read_closed

NONE = "none"
LABELLED = "labelled"
"""In the place of a rule to be taught again: all that have labelled rows."""


class GateSettings(Closed):
    """The gate: what sifts probes and rows, and where teaching begins."""

    encoder: EncoderName = "default"
    """A sentence-transformers model by id or path; `default` is all-MiniLM-L6-v2, `none` leaves meaning out."""
    heads: HeadsName = "shipped"
    """The heads that are in force before the first cycle: `shipped`, `none`, or a folder."""


class ProbeSettings(Closed):
    """New red-team prompts and near misses, as `wardlaw probe make` writes them."""

    count: AtLeastOne = 20
    """Of each rule and kind."""
    only: tuple[RuleId, ...] = ()
    """Only these rules; all where it is left out."""
    kinds: tuple[Literal["break", "keep"], ...] = Field(default=("break", "keep"), min_length=1)
    """`break`: prompts meant to draw out a broken rule; `keep`: harmless near misses."""
    seeds: File | None = None
    """More human-written prompts: JSON lines of `rule`, `kind` and `prompt`."""
    languages: tuple[NonEmpty, ...] = Field(default=("en",), min_length=1)
    """Languages to write in."""
    multi_turn: Whole = 0.2
    """Share of the rounds that ask for conversations."""
    disguises: Annotated[int, Field(ge=0, le=19)] = 0
    """Disguised views of each probe."""
    rounds: AtLeastOne | None = None
    """Most rounds of one kind of one rule; by default eight times what would do if every text were kept."""
    patience: AtLeastOne = 4
    """Rounds in a row without a new probe after which a rule is given up."""
    rouge: Annotated[float, Field(gt=0, le=1)] = 0.7
    """ROUGE-L with an earlier text from which a text is a repeat."""
    cosine: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Cosine to an earlier text from which it is one."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.9
    """Of the model that writes."""
    model: Model | None = None
    """The model that writes; by default the cycle's."""
    max_tokens_total: AtLeastOne | None = None
    """Most tokens, in and out, that the probes may ever cost."""


class LedgerSettings(Closed):
    """Finds of the red-team ledger: as labels, and as prompts."""

    file: HerePath = Field(default=Path("redteam.jsonl"), validate_default=True)
    """The ledger; one that is not there yet has no finds."""
    status: tuple[Literal["open", "fixed", "accepted"], ...] = Field(default=("open", "fixed"), min_length=1)
    """Which finds are taught. What was mended by teaching comes back when it is taught no more: so fixed ones are."""
    hold_out: Part = 0.2
    """Share of the finds that is never taught, and tells what teaching brought."""
    record: bool = False
    """Whether the replay of new heads that come into force is written into the ledger."""


class RowSettings(Closed):
    """Answers, critiques and revisions, as `wardlaw generate` makes them."""

    prompts: tuple[Prompts, ...] = ()
    """Files of prompts of your own, beside the probes and the ledger's."""
    probes: bool = True
    """Whether the probes are prompts."""
    benign: tuple[Prompts, ...] = ()
    """Files of harmless prompts to mix in."""
    benign_share: Part = 0.3
    """Of all prompts, the part that is harmless."""
    limit: AtLeastOne | None = None
    """Most prompts."""
    rounds: AtLeastOne | None = None
    """Most rounds of critique and revision."""
    choose: Choice = Choice.EVIDENCE
    """How the rule of a round is chosen: `evidence`, `nearest`, `random` or `turn`."""
    samples: Annotated[int, Field(ge=1, le=64)] = 1
    """Revisions drawn a round; the best that passes is kept."""
    min_helpful: Annotated[int, Field(ge=1, le=5)] | None = None
    """The judge's grade of helpfulness below which a final answer is rejected; needs a `judge` here."""
    answerer: Model | None = None
    """The model that answers; by default the cycle's."""
    critic: Model | None = None
    """The model that critiques."""
    reviser: Model | None = None
    """The model that revises and justifies."""
    judge: Model | None = None
    """A model that grades final answers; the cycle's judge is not taken for it."""
    licence: NonEmpty = "other"
    """Licence of the data, for its card."""
    max_tokens_total: AtLeastOne | None = None
    """Most tokens, in and out, that the rows may ever cost."""


class LabelSettings(Closed):
    """All that teaches, put together; what comes near a test, a check set or a find held out is taken away."""

    probes: bool = True
    """Whether the probes' labels teach."""
    rows: bool = True
    """Whether first answers that broke a rule, and final ones, teach."""
    data: tuple[File, ...] = ()
    """Labelled files of your own, as `wardlaw gate train --data` reads them, or folders of them."""
    feedback: tuple[File, ...] = ()
    """Label rows of the audit's feedback: what `wardlaw audit feedback --export` wrote."""


class TrainSettings(Closed):
    """Teaching the heads, as `wardlaw gate train` does."""

    how: Literal["onto", "heads", "tuned"] = "onto"
    """`onto`: rules that the gate's heads do not know, beside these; `heads`: all rules, on the encoder as it comes;
    `tuned`: the encoder too, half an hour for 20,000 rows."""
    again: RuleIds = ()
    """With `onto`: rules that are taught anew although the heads know them; `labelled`: those with labelled rows."""
    bank: bool = True
    """Whether the project's own twin bank teaches too."""
    recipe: File | None = None
    """Each source's weight, limits and categories; see `wardlaw gate train --recipe`."""
    passes: Annotated[float, Field(gt=0)] | None = None
    """Passes over the rows, with `tuned`."""
    budget: Share = 0.01
    """The largest share of harmless texts that the gate may flag."""
    unsure: Share = 0.05
    """Share of harmless texts that a judge may be asked about."""


class CalibrateSettings(Closed):
    """Thresholds by your own harmless traffic, as `wardlaw gate calibrate` sets them."""

    benign: tuple[File, ...] = Field(min_length=1)
    """Harmless traffic: JSON lines with `prompt` and perhaps `response`."""
    budget: Share = 0.01
    """The largest share of such traffic that the gate may flag."""
    unsure: Share = 0.05
    """Share of it that a judge may be asked about."""


class CheckSettings(Closed):
    """What the gate is measured on, before and after."""

    sets: tuple[File, ...] = ()
    """Labelled files, or folders of them, as `wardlaw gate eval` reads them; nothing near them is taught."""
    ignore: tuple[NonEmpty, ...] = ()
    """Labels whose rows are passed over."""


class AdoptSettings(Closed):
    """When new heads come into force."""

    demand: Literal["off", "report", "contract", "no_worse", "strict"] = "no_worse"
    """As the server's `reload.tests`: what the rules' own tests decide. With `no_worse`, no check set may get worse
    beyond chance either, and no find that held may break."""


class CycleSettings(Closed):
    """One cycle file."""

    rules: tuple[Rules, ...] = Field(min_length=1)
    """Packs and files of rules; later ones win."""
    out: HerePath = Field(default=Path("cycle"), validate_default=True)
    """The folder of everything that is made."""
    model: Model | None = None
    """The chat model of every part that has none of its own, as `embedded` or `openai:http://127.0.0.1:8000/v1#name`."""
    judge: Model | None = None
    """A chat model that says of probes what is a break; best not the one that writes them."""
    language: Literal["en", "zh"] = "en"
    """Language in which the models that write probes are asked."""
    seed: int = 0
    """All randomness comes from it."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Calls to a model at once; by default 8 for probes, and for rows 64, or 8 in this process."""
    threads: AtLeastOne | None = None
    """Cores that teaching takes; all by default."""
    gate: GateSettings = GateSettings()
    """The gate to begin with."""
    probes: ProbeSettings | None = ProbeSettings()
    """`null` leaves the step out; so with the other steps."""
    ledger: LedgerSettings | None = LedgerSettings()
    """Finds of the red-team ledger."""
    rows: RowSettings | None = RowSettings()
    """Training rows."""
    labels: LabelSettings = LabelSettings()
    """What teaches."""
    train: TrainSettings | None = TrainSettings()
    """Teaching the heads."""
    calibrate: CalibrateSettings | None = None
    """Thresholds by your own traffic; without it those stand that were set when the heads were taught."""
    check: CheckSettings = CheckSettings()
    """Measuring."""
    adopt: AdoptSettings = AdoptSettings()
    """Coming into force."""

    @model_validator(mode="before")
    @classmethod
    def _with_ledger(cls, given: Any) -> Any:
        # a default would not be told from which folder its path counts
        return {"ledger": {}, **given} if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        faults: list[Any] = []
        parts = [self.rows.answerer, self.rows.critic, self.rows.reviser] if self.rows else []
        if self.model is None and ((self.probes and not self.probes.model) or not all(parts)):
            faults.append(((), "no `model` for probes and rows", "add `model:`, as `model: embedded` for a first look"))
        if self.rows is not None and self.rows.min_helpful is not None and self.rows.judge is None:
            faults.append((("rows", "min_helpful"), "no judge says how helpful an answer is", "add `rows.judge`"))
        if self.gate.encoder == NONE:
            if self.train is not None:
                hint = "leave teaching out, as `train: null`, or name an encoder"
                faults.append((("gate", "encoder"), "heads are taught on an encoder, and this is `none`", hint))
            if self.calibrate is not None:
                faults.append((("calibrate",), "only heads on an encoder have thresholds", "delete it"))
            if self.probes is not None and self.judge is None:
                hint = "name a `judge`, or an encoder"
                faults.append((("probes",), "nothing tells whether a probe is on target", hint))
        elif self.gate.heads == NONE and self.train is not None and self.train.how == "onto":
            faults.append((("gate", "heads"), "there are no heads to teach onto", "write `train: {how: heads}`"))
        elif self.gate.heads == NONE and self.train is None and self.calibrate is not None:
            faults.append((("calibrate",), "there are no heads to set thresholds of", "delete it, or teach some"))
        if self.train is not None and self.train.how != "onto" and self.train.again:
            faults.append(
                (("train", "again"), f"`again` goes with `onto`; `{self.train.how}` teaches all rules", "delete it")
            )
        if self.train is not None and self.train.how != "tuned" and self.train.passes is not None:
            faults.append(
                (("train", "passes"), "`passes` is of tuning the encoder", "write `how: tuned`, or delete it")
            )
        if faults:
            raise refusal(faults)
        return self


def read_cycle(path: Path) -> Placed[CycleSettings]:
    """The settings of a cycle.

    Raises:
        RuleErrors: everything that is wrong with the file, each fault with its place.
    """
    return read_closed(path, CycleSettings, "the cycle", {"folder": path.parent})
