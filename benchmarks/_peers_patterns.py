"""Run by a peer's own Python: its scanners over the texts and patterns of `gate_patterns.py`, one JSON row each."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace


def llm_guard_regex(patterns):
    from llm_guard.input_scanners import Regex

    scanner = Regex(patterns=["(?i)" + written(pattern) for pattern in patterns], is_blocked=True)
    return lambda text: not scanner.scan(text)[1]


def llm_guard_substrings(patterns):
    from llm_guard.input_scanners import BanSubstrings

    if any(is_regex for _, is_regex in patterns):
        return None
    scanner = BanSubstrings(substrings=[text for text, _ in patterns], case_sensitive=False)
    return lambda text: not scanner.scan(text)[1]


def nemo_regex(patterns):
    from nemoguardrails.library.regex.actions import detect_regex_pattern
    from nemoguardrails.library.regex.rail_config import RegexDetectionOptions

    options = RegexDetectionOptions(patterns=[written(pattern) for pattern in patterns], case_insensitive=True)
    detection = SimpleNamespace(input=options)
    config = SimpleNamespace(rails=SimpleNamespace(config=SimpleNamespace(regex_detection=detection)))
    loop = asyncio.new_event_loop()
    return lambda text: (
        loop.run_until_complete(detect_regex_pattern(source="input", text=text, config=config)).is_blocked
    )


PEERS = {
    "LLM Guard Regex": llm_guard_regex,
    "LLM Guard BanSubstrings": llm_guard_substrings,
    "NeMo regex rail": nemo_regex,
}


def quiet():
    """No log lines: LLM Guard would print one a text, which takes longer than a scan for a few patterns."""
    logging.disable(logging.CRITICAL)
    try:
        import structlog
    except ImportError:
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def written(pattern):
    text, is_regex = pattern
    return text if is_regex else re.escape(text)


def rate(scan, texts, seconds):
    """Texts a second of the processor's time; how many texts held something, of how many."""
    hits = done = 0
    began = time.process_time()
    for text in texts:
        hits += bool(scan(text))
        done += 1
        if time.process_time() - began > seconds:
            break
    took = time.process_time() - began
    if took > seconds / 2:
        return done / took, hits, done
    # The clock is asked once a pass here: asking takes as long as a third of the fastest scan.
    passes = int(seconds / took)
    began = time.process_time()
    for _ in range(passes):
        for text in texts:
            scan(text)
    return passes * len(texts) / (time.process_time() - began), hits, done


def main():
    quiet()
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for name, make in PEERS.items():
        try:
            began = time.process_time()
            scan = make([tuple(pattern) for pattern in asked["patterns"]])
        except ImportError:
            continue  # of another peer
        if scan is None:
            continue
        scan(asked["texts"][0])
        built = (time.process_time() - began) * 1000
        rounds = [rate(scan, asked["texts"], asked["seconds"]) for _ in range(3)]
        pace = statistics.median(pace for pace, _, _ in rounds)
        print(json.dumps([name, pace, *rounds[0][1:], built]), flush=True)


if __name__ == "__main__":
    main()
