"""How to allow what a rule of a pack forbids: the lines to write into a file of one's own, ready to copy."""

from __future__ import annotations

from typing import Any

import yaml

from rules.schema import Action, Example, Rule
from server.pages.blocks import Code, Prose, Section, marked

_HEADING = ("How to allow it", "如何放行")
_INSTEAD = (
    "Write a file of your own, and name it where you named the pack.",
    "写一个自己的文件，在原来写规则包名字的地方改用它。",
)
_OWN = ("It is your own rule: write what is needed into it.", "这是您自己的规则：需要什么，就写进这条规则里。")
_OFF = ("To switch it off:", "关闭这条规则：")
_RECORD = ("To record what it finds and do nothing about it:", "只记录，不处理：")
_MILDER = ("To let texts pass, with a mark:", "放行，但作标记：")
_NEIGHBOUR = (
    "To allow a text that is fine and was found all the same, put it among the examples that keep the rule.",
    "如果一段无害的文本被误判，把它加到 `keeps` 的例子里。",
)
_COPY = (
    "A field that is named takes the place of the whole field, so begin with a copy, and add to it:",
    "写出的字段会整个取代原来的字段，所以先复制一份，再往里加：",
)
_TAUGHT = (
    "Where a trained head judges the rule, it knows the text once it is taught anew, with `wardlaw gate train`; a rule"
    " without one goes by it at once.",
    "由训练好的检测头判断的规则，要用 `wardlaw gate train` 重新训练才认得这段文本；没有检测头的规则立即生效。",
)
_PATTERNS = (
    "Patterns go by no examples: change the one that hits, under `detect`.",
    "固定的模式不看例子：请在 `detect` 下修改命中的那一条。",
)
_LOOP = (
    "Nothing is stopped by this rule: the gate does not look for it. To leave it out of the loop as well:",
    "这条规则不会拦截任何内容，检测时不看它。若连训练数据的循环也不用它：",
)
_YOURS = "        - The text that is fine.\n"


def allowing(rule: Rule, pack: str | None, language: str) -> Section:
    """The section: switching it off, only recording, milder, and a single neighbour."""

    def say(said: tuple[str, str]) -> Prose:
        return Prose(marked(said[language.partition("-")[0] == "zh"]))

    def code(lines: str) -> Code:
        return Code(_changed(rule, pack, lines))

    blocks: list[Prose | Code] = [say(_INSTEAD if pack else _OWN)]
    if rule.detect is None:
        blocks += [say(_LOOP), code("disabled: true")]
        return Section(_HEADING[language.partition("-")[0] == "zh"], tuple(blocks))
    blocks += [say(_OFF), code("disabled: true")]
    if rule.mode != "shadow":
        blocks += [say(_RECORD), code("mode: shadow")]
    milder = {part.value: min(rule.action(part), Action.FLAG, key=list(Action).index).value for part in rule.watches}
    if any(rule.action(part) not in (Action.ALLOW, Action.FLAG) for part in rule.watches):
        blocks += [say(_MILDER), code(f"on: {_flow(milder)}")]
    if rule.detect.meaning is not None:
        blocks.append(say(_NEIGHBOUR))
        if pack:
            blocks += [say(_COPY), Code(f"wardlaw rules show {rule.id} {pack} --copy > my-rules.yaml\n", "sh")]
        blocks += [Code("    examples:\n      keeps:\n" + _YOURS), say(_TAUGHT)]
    if rule.detect.patterns:
        blocks.append(say(_PATTERNS))
    return Section(_HEADING[language.partition("-")[0] == "zh"], tuple(blocks))


def copied(rule: Rule, pack: str | None) -> str:
    """A file that builds on the pack and repeats what of the rule decides which texts it finds, to be changed."""
    fields: dict[str, Any] = {}
    if rule.detect is not None and rule.detect.patterns:
        fields["detect"] = rule.detect.model_dump(mode="json", exclude_defaults=True)
        if rule.detect.meaning is None:
            fields["detect"]["meaning"] = None  # the default is to look by meaning
    fields["examples"] = {
        side: [_short(each) for each in group]
        for side, group in (("breaks", rule.examples.breaks), ("keeps", rule.examples.keeps))
        if group
    }
    return _changed(rule, pack, _block(fields))


def _changed(rule: Rule, pack: str | None, lines: str) -> str:
    body = "".join(f"    {line}\n" if line else "\n" for line in lines.rstrip().split("\n"))
    if pack is None:
        return f"  - id: {rule.id}\n{body}"
    return f"constitution: my-rules\nextends: [{pack}]\nrules:\n  - id: {rule.id}\n{body}"


def _short(example: Example) -> Any:
    """An example as a person writes it."""
    turns = example.messages
    note = {"note": example.note} if example.note else {}
    if len(turns) == 1 and turns[0].role == "user":
        return {"prompt": turns[0].content, **note} if note else turns[0].content
    if [turn.role for turn in turns] == ["user", "assistant"]:
        return {"prompt": turns[0].content, "response": turns[1].content, **note}
    return {"messages": [turn.model_dump(mode="json") for turn in turns], **note}


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000).strip()


def _block(value: Any) -> str:
    return yaml.dump(value, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=110)


class _Indented(yaml.SafeDumper):
    """Lists stand further in than their key, as in the packs."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)
