"""The sets that were written for this project: prompts, sources and scenes, and answers labelled by hand. YAML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from constitution.evaluating.criterion import EvaluationError
from guard.exchange import Message
from rules.schema import Closed, NonEmpty

SETS = Path(__file__).parent / "sets"
"""What models are asked."""
RELIABILITY = Path(__file__).parent / "reliability"
"""What judges are measured on."""

Language = Literal["en", "zh"]
Topic = Literal["nature", "body", "history", "relationship", "action"]
Label = bool | Annotated[int, Field(ge=1, le=5)]


class Talk(Closed):
    """A conversation that the model is to go on with."""

    id: NonEmpty
    """Unique in its set."""
    language: Language
    turns: tuple[NonEmpty, ...] = Field(min_length=1)
    """The user's and the assistant's in turn; the first and the last are the user's."""

    @model_validator(mode="after")
    def _ends_with_the_user(self) -> Self:
        if len(self.turns) % 2 == 0:
            raise ValueError("the last turn is not the user's")
        return self

    @property
    def messages(self) -> tuple[Message, ...]:
        """The turns as messages."""
        return tuple(Message("assistant" if place % 2 else "user", text) for place, text in enumerate(self.turns))


class IdentityTalk(Talk):
    """A talk in which a person's natural answer would claim what a machine does not have."""

    topic: Topic


class SourceQuestion(Closed):
    """A question about a source."""

    id: NonEmpty
    """Unique among the source's."""
    ask: NonEmpty
    answer: NonEmpty | None = None
    """What the source says; None where it does not say."""


class Passage(Closed):
    """A source with questions."""

    id: NonEmpty
    language: Language
    text: NonEmpty
    questions: tuple[SourceQuestion, ...] = Field(min_length=1)


class Scene(Closed):
    """A scene with two people of whom a prejudice speaks against one; the set's head says what each field is."""

    id: NonEmpty
    attribute: NonEmpty
    target: NonEmpty
    other: NonEmpty
    scene: NonEmpty
    target_did: NonEmpty
    other_did: NonEmpty
    negative: NonEmpty
    positive: NonEmpty
    unknown: NonEmpty


class LabelledTalk(Talk):
    """An answer in a talk, and what is right to say of it."""

    answer: NonEmpty
    labels: Mapping[str, Label] = Field(min_length=1)
    """Question -> yes or no, or a grade."""
    why: NonEmpty
    """The labeller's reason."""


class LabelledAnswer(Closed):
    """An answer from a source, and what is right to say of it."""

    id: NonEmpty
    language: Language
    source: NonEmpty
    question: NonEmpty
    answer: NonEmpty
    labels: Mapping[str, Label] = Field(min_length=1)
    why: NonEmpty


class _Set(Closed):
    set: NonEmpty
    lineage: NonEmpty
    """Who wrote it."""
    language: Language | None = None
    """Of all items, where they do not say it themselves."""


class _Identity(_Set):
    items: tuple[IdentityTalk, ...]


class _Talks(_Set):
    items: tuple[Talk, ...]


class _Grounding(_Set):
    passages: tuple[Passage, ...]


class _Stereotypes(_Set):
    language: Language
    scenes: tuple[Scene, ...]


class _LabelledTalks(_Set):
    items: tuple[LabelledTalk, ...]


class _LabelledAnswers(_Set):
    items: tuple[LabelledAnswer, ...]


AnySet = TypeVar("AnySet", bound=_Set)


def identity_talks(folder: Path = SETS) -> tuple[IdentityTalk, ...]:
    """The prompts of `identity.yaml`. Raises EvaluationError: as all of these, where the file is damaged."""
    return _unique(folder, "identity", _read(_Identity, folder, "identity").items)


def talks(name: str, folder: Path = SETS) -> tuple[Talk, ...]:
    """The prompts of `conversation.yaml` or `helpfulness.yaml`."""
    return _unique(folder, name, _read(_Talks, folder, name).items)


def passages(folder: Path = SETS) -> tuple[Passage, ...]:
    """The sources of `grounding.yaml`."""
    found = _unique(folder, "grounding", _read(_Grounding, folder, "grounding").passages)
    for passage in found:
        _unique(folder, "grounding", passage.questions)
    return found


def scenes(folder: Path = SETS) -> tuple[Scene, ...]:
    """The scenes of `stereotypes.yaml`."""
    return _unique(folder, "stereotypes", _read(_Stereotypes, folder, "stereotypes").scenes)


def labelled_talks(name: str, folder: Path = RELIABILITY) -> tuple[LabelledTalk, ...]:
    """The labelled answers of a set of talks."""
    return _unique(folder, name, _read(_LabelledTalks, folder, name).items)


def labelled_answers(name: str = "grounding", folder: Path = RELIABILITY) -> tuple[LabelledAnswer, ...]:
    """The labelled answers of a set of sources."""
    return _unique(folder, name, _read(_LabelledAnswers, folder, name).items)


def _read(kind: type[AnySet], folder: Path, name: str) -> AnySet:
    import yaml

    path = folder / f"{name}.yaml"
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise EvaluationError(f"`{path}` cannot be read: {error.strerror}", "install the project anew") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: not YAML: {' '.join(str(error).split())}", "mend the file") from None
    except ValidationError as error:
        # A misspelled key is the cause, the key that is then missing its echo.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        what = first["msg"].removeprefix("Value error, ")
        raise EvaluationError(f"{path}: `{where}`: {what}", "mend the file") from None


Named = TypeVar("Named", IdentityTalk, Talk, Passage, Scene, LabelledTalk, LabelledAnswer, SourceQuestion)


def _unique(folder: Path, name: str, found: tuple[Named, ...]) -> tuple[Named, ...]:
    twice = _repeated(item.id for item in found)
    if twice is not None:
        raise EvaluationError(f"{folder / f'{name}.yaml'}: the id `{twice}` stands twice", "give each an id of its own")
    return found


def _repeated(ids: Iterable[Any]) -> str | None:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            return str(each)
        seen.add(each)
    return None
