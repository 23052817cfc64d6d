"""Settings from a YAML file, the environment and flags. Later ones win; what is wrong is told with where it stands.

SettingsError           one fault
  SettingsErrors        all that is wrong, at once
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from rules.errors import WardlawError
from rules.places import Node, compose
from rules.words import did_you_mean, quoted
from server.settings import ServerSettings

PREFIX = "WARDLAW_"
NESTED = "__"

Keys: TypeAlias = tuple[str, ...]
"""The way to a setting: `("upstream", "url")`."""

_OTHERS = frozenset({"WARDLAW_PATIENCE", "WARDLAW_CALL_TIMEOUT", "WARDLAW_ADMIN_KEY"})
"""Variables that the chat models, and commands that ask a server, read themselves."""
_WANTED: Mapping[str, str] = {
    "tuple_type": "should be a list",
    "dict_type": "should be a map",
    "mapping_type": "should be a map",
    "model_type": "should be a map of settings",
    "model_attributes_type": "should be a map of settings",
    "none_required": "should be left out",
    "is_instance_of": "should be something else",
    "path_type": "should be a path",
    "string_type": "should be a text",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be `true` or `false`",
    "bool_parsing": "should be `true` or `false`",
}
"""Kind of a fault, as pydantic names it -> what may stand there."""
_OF_KUBERNETES = re.compile(r"WARDLAW(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")
"""What a cluster sets in every pod beside a service called `wardlaw`. One of them has the name of our port."""
_OF_CONSTITUTIONS: tuple[Keys, ...] = (("constitutions",), ("shadow", "candidates"))
"""Settings that are maps from names to packs and files."""
_MAX_FILE = 2**20


class SettingsError(WardlawError):
    """One setting cannot be used."""


class SettingsErrors(SettingsError):
    """Everything that is wrong with the settings."""

    def __init__(self, errors: Sequence[SettingsError]) -> None:
        super().__init__(errors[0].what, errors[0].hint)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def read_settings(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[Keys, tuple[str, Any]] | None = None,
) -> ServerSettings:
    """All settings.

    Args:
        file: a YAML file.
        environment: the process's variables; those that begin with `WARDLAW_` count.
        flags: the way to a setting -> the flag's name and its value.

    Raises:
        SettingsErrors: each fault with the place it was read from.
    """
    reading = _Reading()
    if file is not None:
        reading.file(file)
    reading.environment(environment or {})
    infos = {keys: info for keys, info, _ in leaves()}
    for keys, (flag, value) in (flags or {}).items():
        typed = isinstance(value, str) and keys in infos
        reading.put(keys, _plain(value, infos[keys]) if typed else value, f"`{flag}`")
    return reading.finish()


def leaves(
    model: type[BaseModel] = ServerSettings, above: Keys = ()
) -> Iterator[tuple[Keys, FieldInfo, type[BaseModel]]]:
    """Every setting: the way to it, its field, and the model that it stands in."""
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, (*above, name))
        else:
            yield (*above, name), info, model


def variable(keys: Keys) -> str:
    """The environment variable of a setting."""
    return PREFIX + NESTED.join(keys).upper()


def shown(settings: ServerSettings) -> dict[str, Any]:
    """All settings as plain data, without secrets: a key reads `**********`."""
    data = settings.model_dump(mode="json")
    if settings.database:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            data["database"] = make_url(settings.database).render_as_string(hide_password=True)
        except ArgumentError:
            data["database"] = str(SecretStr(settings.database))
    return data


class _Reading:
    """Values as they come together, and where each came from."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.origins: dict[tuple[str | int, ...], str] = {}
        self.faults: list[SettingsError] = []
        self.node: Node | None = None

    def file(self, path: Path) -> None:
        """Take in a file."""
        try:
            content = path.read_bytes()[: _MAX_FILE + 1]
            text = content.decode("utf-8")
        except OSError as error:
            what = f"the settings `{path}` cannot be read: {error.strerror or error}"
            raise SettingsErrors([SettingsError(what, "name a YAML file")]) from None
        except UnicodeDecodeError:
            raise SettingsErrors([SettingsError(f"`{path}` is not UTF-8 text", "name a YAML file")]) from None
        if not text.strip() or all(line.lstrip().startswith("#") or not line.strip() for line in text.splitlines()):
            return
        node, faults = compose(text, str(path))
        if faults or node is None:
            raise SettingsErrors([SettingsError(fault.what, fault.hint) for fault in faults])
        if not isinstance(node.data, dict):
            what = f"{node.where}: settings are a map of keys"
            raise SettingsErrors([SettingsError(what, "write them as `port: 8080`")])
        self.node = node
        self._take(node, ())

    def _take(self, node: Node, above: tuple[str | int, ...]) -> None:
        for key, inner in node.fields.items():
            self.origins[(*above, key)] = str(node.keys.get(key, inner.where))
            if isinstance(inner.data, dict) and inner.fields:
                self._take(inner, (*above, key))
            else:
                self._set((*above, key), inner.data)
            for place, item in enumerate(inner.items):
                self.origins[(*above, key, place)] = str(item.where)

    def environment(self, variables: Mapping[str, str]) -> None:
        """Take in the environment."""
        known = {variable(keys): (keys, info) for keys, info, _ in leaves()}
        maps = {f"{name}{NESTED}": keys for name, (keys, info) in known.items() if _is_map(info)}
        for name, value in sorted(variables.items()):
            upper = name.upper()
            if not upper.startswith(PREFIX) or upper in _OTHERS:
                continue
            if upper == f"{PREFIX}PORT" and value.startswith("tcp://"):
                continue
            where = f"environment variable `{name}`"
            if upper in known:
                keys, info = known[upper]
                self.put(keys, _plain(value, info), where)
            elif prefix := next((prefix for prefix in maps if upper.startswith(prefix)), None):
                self.put((*maps[prefix], upper.removeprefix(prefix).lower()), _items(value), where)
            elif not _OF_KUBERNETES.fullmatch(upper):
                hint = did_you_mean(upper, known, "`wardlaw serve --print-settings` shows all settings")
                self.faults.append(SettingsError(f"{where}: there is no such setting", hint))

    def put(self, keys: Keys, value: Any, where: str) -> None:
        """Take in one value, over what there was."""
        for end in range(1, len(keys) + 1):
            self.origins[keys[:end]] = where
        self._set(keys, value)

    def _set(self, keys: Sequence[str | int], value: Any) -> None:
        inner: Any = self.data
        for key in keys[:-1]:
            below = inner.get(key)
            if not isinstance(below, dict):
                below = inner[key] = {}
            inner = below
        inner[keys[-1]] = value

    def finish(self) -> ServerSettings:
        """The settings, or everything that is wrong with them."""
        try:
            settings = ServerSettings.model_validate(self.data)
        except ValidationError as error:
            for details in error.errors(include_url=False, include_input=False):
                self.faults += self._explained(details)
        else:
            if not self.faults:
                return settings
        unique = {error.what: error for error in self.faults}
        raise SettingsErrors(list(unique.values()))

    def _explained(self, details: Any) -> Iterator[SettingsError]:
        if details["type"] == "default_factory_not_called":
            return  # another setting is at fault, and told
        loc: tuple[str | int, ...] = tuple(key for key in details["loc"] if key != "[key]")
        if details["type"] == "refused":
            for keys, what, hint in details["ctx"]["faults"]:
                at = (*loc, *keys)
                yield SettingsError(f"{self._where(at)}`{_dotted(at)}`: {what}", hint)
            return
        if details["type"] == "extra_forbidden":
            known = [".".join(keys) for keys, _, _ in leaves()]
            beside = [name for name in known if name.rpartition(".")[0] == _dotted(loc[:-1])]
            level = _model_at(loc[:-1])
            hint = did_you_mean(str(loc[-1]), level.model_fields if level else beside)
            inside = f" in `{_dotted(loc[:-1])}`" if len(loc) > 1 else ""
            yield SettingsError(f"{self._where(loc)}unknown key {quoted(loc[-1])}{inside}", hint)
            return
        message = _WANTED.get(details["type"]) or details["msg"].removeprefix("Value error, ").removeprefix("Input ")
        maps = next((keys for keys in _OF_CONSTITUTIONS if loc[: len(keys)] == keys), None)
        if maps and details["type"] in _WANTED:
            is_inside = len(loc) > len(maps)
            message = "should be a list of packs and files" if is_inside else "should be a map of names to such lists"
        if details["type"] == "string_pattern_mismatch" and maps:
            message = "is no name: one has small letters, digits, `-` and `_`, a letter or digit first"
        # The value is not shown: it may be a secret that stands in the wrong place.
        what = f"{self._where(loc)}`{_dotted(loc)}` {message[:1].lower()}{message[1:]}".replace("'", "`")
        yield SettingsError(what, _type_hint(loc))

    def _where(self, loc: tuple[str | int, ...]) -> str:
        for end in range(len(loc), 0, -1):
            if loc[:end] in self.origins:
                return f"{self.origins[loc[:end]]}: "
        return ""


def _dotted(loc: Sequence[str | int]) -> str:
    return ".".join(str(key) for key in loc)


def _type_hint(loc: tuple[str | int, ...]) -> str:
    from rules.docstrings import field_docstrings

    model = _model_at(loc[:-1])
    said = field_docstrings(model).get(str(loc[-1]), "") if model else ""
    return said[:1].lower() + said[1:].rstrip(".") if said else "docs/settings.md says what it may be"


def _model_at(loc: Sequence[str | int]) -> type[BaseModel] | None:
    model: type[BaseModel] = ServerSettings
    for key in loc:
        info = model.model_fields.get(str(key))
        inner = info.annotation if info else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return None
        model = inner
    return model


def _is_map(info: FieldInfo) -> bool:
    origin = typing.get_origin(info.annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _plain(text: str, info: FieldInfo) -> Any:
    """The text of a variable or a flag as its value: JSON for maps, a list by commas or JSON, else as it is."""
    if _is_map(info):
        # A list where a map may stand is the one that has no name, as for constitutions.
        return _items(text) if not text.lstrip().startswith("{") else _json(text)
    return _items(text) if typing.get_origin(info.annotation) is tuple else text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _items(text: str) -> Any:
    if text.lstrip().startswith("["):
        return _json(text)
    return [item.strip() for item in text.split(",") if item.strip()]
