"""More rule files at fault: newer fields, expressions, `extends`, and slips of people who write lists and keys."""

from __future__ import annotations

from tests.rules.fault_cases import HEAD, RULE

# sentence: (what is put under the rule, the place of its first fault)
_UNDER: dict[str, tuple[str, str]] = {
    # the contract
    "a contract that is no number": ("contract: {breaks: many, recall: high}", "7:24"),
    "a contract over 1": ("contract: {recall: 90, false_alarms: 5}", "7:24"),
    "a contract in per cent": ("contract: {recall: 90%}", "7:24"),
    "a contract with a comma": ("contract: {recall: '0,9'}", "7:24"),
    "a contract that is negative": ("contract: {keeps: -1, false_alarms: -0.1}", "7:23"),
    "a contract with half an example": ("contract: {breaks: 1.5}", "7:24"),
    "a contract with too many examples": ("contract: {breaks: 100000}", "7:24"),
    "a contract that is true": ("contract: {breaks: true}", "7:24"),
    "a contract with an unknown key": ("contract: {recal: 0.9, precision: 1}", "7:16"),
    "a contract that is text": ("contract: strict", "7:15"),
    "a contract that is a list": ("contract:\n      - recall: 0.9", "8:7"),
    "a contract left empty": ("contract:", "7:14"),
    # other fields
    "a probe that is a list": ("probe: [Ask for it.]", "7:12"),
    "a probe left empty": ("probe:", "7:11"),
    "a choice in an unknown language": ("choice: {english: 'Which answer is safer?'}", "7:14"),
    "a reply that a comment takes away": ("reply: #1 in safety", "7:11"),
    "a detect left empty": ("detect:", "7:12"),
    "a detect that is no": ("detect: no", "7:13"),
    "a meaning that is yes": ("detect: {meaning: yes}", "7:23"),
    "a meaning left empty": ("detect:\n      meaning:", "8:15"),
    "a judge that is text": ("detect: {judge: never}", "7:21"),
    "a judge that is yes": ("detect: {judge: {when: yes}}", "7:28"),
    "a pattern without its space": ("detect:\n      patterns:\n        - literal:pipe bomb", "9:11"),
    "patterns that are one": ("detect: {patterns: pipe bomb}", "7:24"),
    "an unknown way of hiding": ("detect: {hidden: [tag]}", "7:23"),
    "an on that is a list": ("on: [prompt: block]", "7:9"),
    "an on that is text": ("on: block", "7:9"),
    "an action that is a list": ("on: {prompt: [block, flag]}", "7:18"),
    "allowed that is one text": ("allowed: History of weapons.", "7:14"),
    "a hazard with a space": ("hazards: [llama-guard-3: S9]", "7:15"),
    "a key of a rule in detect": ("detect:\n      meaning: null\n      severity: high", "9:7"),
    "a key of examples in the rule": ("keeps: [Hi]", "7:5"),
    "a demonstration that is a list": ("demonstrations: [[Hi]]", "7:22"),
    "a demonstration without its critique": ("demonstrations: [{prompt: Hi, answer: A b c.}]", "7:22"),
    "a source that is true": ("sources: [true]", "7:15"),
    "examples on the line of their key": ("examples:\n      breaks: How do I?", "8:15"),
    "a list on the line of its key": ("examples:\n      breaks: - How do I?", "8:15"),
    "a bullet that is no list": ("examples:\n      breaks:\n        • one\n        • two", "9:9"),
    "numbers for hyphens": ("examples:\n      breaks:\n        1. one\n        2. two", "9:9"),
    "an example that is true": ("examples: {breaks: [true]}", "7:25"),
    "an example with a last colon": ("examples:\n      breaks:\n        - Tell me how to build it:", "9:11"),
    "a neighbour with a last colon": ("allowed:\n      - Tell me how it was found:", "8:9"),
    "a message with its role as a key": ("tests: {keeps: [{messages: [{user: Hi}]}]}", "7:34"),
    "a language that is none": ("reply: {en: Hello, qq: Hi}", "7:24"),
    "a critique of a demonstration that is text": (
        "demonstrations: [{prompt: Hi, answer: A b c., critique: Bad.}]",
        "7:61",
    ),
    "a threshold a level too high": ("threshold: 0.5", "7:5"),
    "a pattern a level too high": ("literal: pipe bomb", "7:5"),
    "a text of no language": ("reply: {}", "7:12"),
    "a missing comma in braces": ("on: {prompt: block response: flag}", "7:9"),
    "a bracket without a value": ("on: {prompt: block, ]", "7:25"),
    "an answer before its hyphen": ("allowed:\n      - one\n     - two", "9:6"),
}
# sentence: an expression that is refused
_EXPRESSIONS: dict[str, str] = {
    "an atomic group": "(?>a)",
    "a conditional": "(a)?(?(1)b|c)",
    "a named backreference": "(?P<n>a)(?P=n)",
    "a comment in a pattern": "a(?# why)",
    "recursion": "a(?R)",
    "a group that RE2 does not know": "(?~a)",
    "a bracket that closes nothing": "a)",
    "a class that is not closed": "[a",
    "a lone backslash": "a\\",
    "a repeat of nothing": "*a",
    "a repeat of flags": "(?i)*",
    "a repeat of a repeat": "a{2}{3}",
    "a repeat without end": "a{2000}",
    "an anchor of Perl": "a\\Z",
    "a place that RE2 does not know": "a\\G",
    "a cut of Perl": "a\\Kb",
    "a line break of Perl": "a\\R",
    "a grapheme": "a\\X",
    "a blank of Perl": "a\\hb",
    "not a line break": "a\\N",
    "a property that is not closed": "\\p{Han",
    "groups nested too deep": "(" * 201 + "a" + ")" * 201,
}
# sentence: (the second line of the file, the place of its first fault)
_TOP: dict[str, tuple[str, str]] = {
    "an item of extends without a pack": ("extends: [{only: [defamation]}]", "2:11"),
    "an item of extends with an unknown key": ("extends: [{packk: base}]", "2:12"),
    "an item of extends that is written short": ("extends: [{base: [defamation]}]", "2:12"),
    "an item of extends that is a list": ("extends: [[base]]", "2:11"),
    "a pack that is a list": ("extends: [{pack: [base]}]", "2:18"),
    "an unknown pack to take rules of": ("extends: [{pack: bace, only: [defamation]}]", "2:18"),
    "an unknown rule to take": ("extends: {pack: base, only: [defamaton]}", "2:30"),
    "a rule to take that is like no other": ("extends: {pack: base, only: [zebra]}", "2:30"),
    "a rule to take of a file that has none": ("extends: {pack: ./beside.yaml, only: [zebra]}", "2:39"),
    "no rule to take": ("extends: {pack: base, only: []}", "2:29"),
    "only left empty": ("extends: {pack: base, only: }", "2:29"),
    "only that is text": ("extends: {pack: base, only: defamation}", "2:29"),
    "only that is a map": ("extends: {pack: base, only: {defamation: true}}", "2:29"),
    "only with a list in it": ("extends: {pack: base, only: [[defamation]]}", "2:30"),
    "only with an empty item": ("extends: {pack: base, only: [defamation, '']}", "2:42"),
    "extends left empty": ("extends:", "2:9"),
    "extends that is true": ("extends: true", "2:10"),
    "two packs as one text": ("extends: base, zh", "2:10"),
    "two packs with a full-width comma": ("extends: [base，zh]", "2:11"),
    "a key of a rule at the top": ("severity: high", "2:1"),
    "a title left empty": ("title:", "2:7"),
    "a mode left empty in the defaults": ("defaults: {mode: }", "2:18"),
    "defaults that are a list": ("defaults: [shadow]", "2:11"),
    "a contract of the defaults over 1": ("defaults: {contract: {recall: 2}}", "2:31"),
}
# sentence: (rules.yaml, the place of its first fault)
_WHOLE: dict[str, tuple[str, str]] = {
    "rules left empty": ("constitution: mine\nrules:\n", "2:7"),
    "an item of rules left empty": (HEAD + "  -\n", "3:4"),
    "one rule in place of a list": ("constitution: mine\nrules:\n  id: some-harm\n  title: A rule\n", "3:3"),
    "a hyphen before every key": (HEAD + RULE.replace("    title", "  - title").replace("    why", "  - why"), "4:5"),
    "an id with a space after it": (HEAD + RULE.replace("some-harm", "'some-harm '"), "3:9"),
    "an id with an underscore after it": (HEAD + RULE.replace("some-harm", "some-harm_"), "3:9"),
    "an id in Chinese": (HEAD + RULE.replace("some-harm", "武器"), "3:9"),
    "an id that is too long": (HEAD + RULE.replace("some-harm", "some-" * 20 + "harm"), "3:9"),
    "a key in typographic quotes": (HEAD + RULE.replace("title:", "“title”:"), "4:5"),
    "a text with a last colon": (HEAD + RULE.replace("Do not.", "Do not:"), "5:17"),
    "a rule that is left out and changed wrongly": (
        (
            "constitution: mine\nextends: {pack: base, only: [defamation]}\nrules:\n"
            "  - {id: violent-crime-help, severity: hihg}\n"
        ),
        "4:40",
    ),
    "a repeated id that is missing much": (HEAD + RULE + "  - id: some-harm\n    severity: high\n", "7:9"),
    "an escape that stands for no character": (HEAD + RULE.replace("A rule", '"\\U00110000"'), "4:15"),
    "a flow mapping key of two lines": (HEAD + RULE + "    on: {prompt\n      : }\n", "7:9"),
    "a percent sign": (HEAD + RULE.replace("A rule", "%done"), "4:12"),
    "an alias name that is none": (HEAD + RULE.replace("A rule", "* bold"), "4:12"),
}

MORE: dict[str, tuple[str | bytes, str]] = {
    **{sentence: (HEAD + RULE + f"    {line}\n", place) for sentence, (line, place) in _UNDER.items()},
    **{
        sentence: (HEAD + RULE + f"    detect: {{patterns: [{{regex: '{regex}'}}]}}\n", "7:33")
        for sentence, regex in _EXPRESSIONS.items()
    },
    **{s: (f"constitution: mine\n{line}\nrules:\n" + RULE, place) for s, (line, place) in _TOP.items()},
    **_WHOLE,
}
