"""Where an OpenAI-compatible endpoint is, and with which key: `http://host/v1?key=NAME&timeout=60&patience=300#model`."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

from guard.models._patience import Patience
from guard.models.base import ModelConfigError

OFFICIAL = "https://api.openai.com/v1"
USUAL_KEY = "OPENAI_API_KEY"
_OPTIONS = ("key", "timeout", "patience")
_EXAMPLE = "write it as `openai:http://host:port/v1#model-name`"
_LIKE_A_KEY = re.compile(
    r"(?<!\w)(?:(?:sk|pk|rk|gsk|hf|xai|nvapi)[-_](?=[\w-]*\d)[\w-]{16,}|AIza[\w-]{20,}|Bearer\s+\S+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model at one endpoint."""

    base: str
    """Address that `/chat/completions` is added to; no query, no user name, no slash at its end."""
    model: str
    """The model's name there."""
    key_name: str
    """Environment variable that the key comes from."""
    key: str | None = field(repr=False)
    """The key; None where the variable is not set. Must never be printed: `scrub` whatever the endpoint said."""
    patience: Patience

    @property
    def identity(self) -> str:
        """What determines the answers."""
        return f"openai:{self.base}#{self.model}"

    def scrub(self, text: str, most: int = 300) -> str:
        """`text` as one line of at most `most` characters, with this endpoint's key and what looks like a key gone.

        Endpoints quote the key they refuse, some of them whole.
        """
        if self.key:
            # A dummy key such as `x` is a letter of other words too; those stay.
            text = re.sub(rf"(?<!\w){re.escape(self.key)}(?!\w)", "[key]", text)
            text = text.replace(self.key, "[key]") if len(self.key) >= 8 else text
        text = " ".join(_LIKE_A_KEY.sub("[key]", text).split())
        return text if len(text) <= most else f"{text[: most - 3]}..."


def read_endpoint(spec: str) -> Endpoint:
    """Parse what stands after `openai:`.

    An empty address means the one in `OPENAI_BASE_URL`, or the official one. The key is read from the environment
    variable `OPENAI_API_KEY`, or from the one that `key=` names; it goes to whatever host the address names, so give
    other hosts a variable of their own.

    Raises:
        ModelConfigError: no address, no model, an unknown option, a variable that is not set, or a key in the address.
    """
    address, _, model = spec.partition("#")
    address, _, query = address.partition("?")
    if not model.strip():
        raise ModelConfigError(f"no model is named in `openai:{_quote(address)}`", f"{_EXAMPLE}: the model follows `#`")
    options = _options(query)
    base = _base(address or os.environ.get("OPENAI_BASE_URL", "") or OFFICIAL)
    key_name = options.get("key", USUAL_KEY)
    key = os.environ.get(key_name, "").strip() or None
    if key is None and ("key" in options or base == OFFICIAL):
        raise ModelConfigError(
            f"the environment variable `{key_name}` is not set; `{base}` needs the key in it",
            f"run `export {key_name}=...` first; keys are never written into a model's name or a file",
        )
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ModelConfigError(
            f"the key in the environment variable `{key_name}` has a character that no HTTP header can carry",
            "set it again, without quotes, spaces or line ends inside",
        )
    patience = Patience()
    attempt_s = _seconds("timeout", options, "WARDLAW_CALL_TIMEOUT", patience.attempt_s)
    total_s = _seconds("patience", options, "WARDLAW_PATIENCE", patience.total_s)
    patience = replace(patience, attempt_s=attempt_s, total_s=total_s, down_s=min(patience.down_s, total_s))
    return Endpoint(base=base, model=model.strip(), key_name=key_name, key=key, patience=patience)


def _base(address: str) -> str:
    try:
        parts = urlsplit(address.strip())
        port = parts.port
        # Look-up encodes the name so, and what it cannot encode fails there as late as the first call.
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise ModelConfigError(f"`{_quote(address)}` is no address: {error}", _EXAMPLE) from None
    if "@" in parts.netloc:
        raise ModelConfigError(
            f"the address of `{parts.hostname}` has a user name or key before its `@`",
            f"keys come from the environment only: put it into `{USUAL_KEY}`, or name a variable with `?key=NAME`",
        )
    if _LIKE_A_KEY.search(address):
        raise ModelConfigError(
            f"the address of `{parts.hostname}` seems to hold a key",
            f"keys come from the environment only: put it into `{USUAL_KEY}`, or name a variable with `?key=NAME`",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f\x7f]", address.strip()):
        raise ModelConfigError(f"`{_quote(address)}` is no http address", _EXAMPLE)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port is None else f"{host}:{port}"
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{netloc}{path}"


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, n=1)
            # The value stays out of the message: someone may have put a key there.
            raise ModelConfigError(
                f"unknown option `{_quote(name)}` in the name of an openai model",
                f"did you mean `{near[0]}`?"
                if near
                else f"the options are {', '.join(f'`{known}`' for known in _OPTIONS)}",
            )
        if name in options:
            raise ModelConfigError(f"the option `{name}` is given twice", "give it once")
        options[name] = value
    key = options.get("key", USUAL_KEY)
    # Upper case and words, since the name is printed and a key put there by mistake must not be.
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", key) or (len(key) >= 20 and "_" not in key):
        raise ModelConfigError(
            "what follows `key=` is no upper-case name of an environment variable, perhaps the key itself",
            "keys come from the environment only: `export MY_KEY=...` and write `?key=MY_KEY`",
        )
    return options


def _seconds(option: str, options: dict[str, str], variable: str, otherwise: float) -> float:
    where, text = (
        (f"`{option}=`", options[option]) if option in options else (f"`{variable}`", os.environ.get(variable))
    )
    if not text:
        return otherwise
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e7:
        raise ModelConfigError(f"{where} is `{_quote(text)}`, which is no number of seconds", "write it as `60`")
    return seconds


def _quote(text: str) -> str:
    return _LIKE_A_KEY.sub("[key]", re.sub(r"//[^/@]*@", "//[key]@", " ".join(text.split())))[:120]
