"""A small guard as a user of LiteLLM would write it: ten stdlib patterns on prompts, answers and streams."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from fastapi import HTTPException
from litellm.integrations.custom_guardrail import CustomGuardrail
from patterns import LITERALS, REGEXES

LOOKED_FOR = [re.compile(one, re.IGNORECASE) for one in (*map(re.escape, LITERALS), *REGEXES)]
TAIL = 500
"""Characters of a stream that are looked at again with each chunk."""


def check(text):
    if isinstance(text, str) and any(pattern.search(text) for pattern in LOOKED_FOR):
        raise HTTPException(status_code=400, detail={"error": "blocked"})


class TenPatterns(CustomGuardrail):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        for message in data.get("messages", ()):
            check(message.get("content"))
        return data

    async def async_post_call_success_hook(self, data, user_api_key_dict, response):
        for choice in response.choices:
            check(choice.message.content)
        return response

    async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
        tail = ""
        async for chunk in response:
            for choice in getattr(chunk, "choices", ()):
                tail = (tail + (choice.delta.content or ""))[-TAIL:]
            check(tail)
            yield chunk
