"""axolotl's `chat_template` form: messages that say one by one whether they are learnt.

Only the last answer is: earlier turns of the assistant are as they came in, and no rule was held to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.formats.base import Options, answer, answer_type, finished, origin, origin_type, turns
from constitution.row import Row

NAME = "axolotl"
ABOUT = "The same conversations for axolotl, with the last answer marked to be learnt (`chat_template`)."
HOW = """```yaml
datasets:
  - path: $FILE
    ds_type: $TYPE
    type: chat_template
    field_messages: messages
    message_field_training: train
    roles_to_train: []
    train_on_eos: turn
    # reasoning under `thinking`: add field_thinking: thinking, and template_thinking_key as your template calls it
```"""


def project(row: Row, options: Options) -> Iterator[dict[str, Any]]:
    """One line an accepted row."""
    pair = finished(row)
    if pair is None:
        return
    said: list[dict[str, Any]] = [{**turn, "train": False} for turn in turns(row.prompt)]
    said.append({**answer(pair[1], row.rationale, options), "train": True})
    yield {"messages": said, "wardlaw": origin(row)}


def schema(options: Options) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    return pa.schema([("messages", pa.list_(answer_type(options, flags=("train",)))), ("wardlaw", origin_type())])
