"""Models and embeddings: handed on to the upstream, and its answer back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest


async def test_the_upstreams_models_are_listed(stand: Callable[..., Any]) -> None:
    here = await stand()
    assert [model.id for model in (await here.client.models.list()).data] == ["fake"]


async def test_embeddings_come_from_the_upstream_whatever_is_embedded(
    stand: Callable[..., Any], fake_upstream: Any
) -> None:
    here = await stand()
    made = await here.client.embeddings.create(model="fake", input="how do I summon the kraken")
    assert made.data[0].embedding
    assert fake_upstream.seen()[-1]["body"]["input"] == "how do I summon the kraken"
    assert here.audit.records == []


async def test_the_path_and_its_query_are_handed_on_as_they_came(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    answer = await here.http.get("/v1/models/org%2Fmodel?verbose=1")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("mode", "raised"),
    [
        ("e400", openai.BadRequestError),
        ("e429", openai.RateLimitError),
        ("e500", openai.InternalServerError),
        ("e503", openai.InternalServerError),
    ],
)
async def test_a_fault_of_the_upstream_is_told_as_openai_would(
    stand: Callable[..., Any], fake_upstream: Any, mode: str, raised: type[openai.APIStatusError]
) -> None:
    here = await stand()
    fake_upstream.script(mode)
    with pytest.raises(raised):
        await here.client.embeddings.create(model="fake", input="a")


async def test_an_upstream_that_is_down_is_told_as_one(stand: Callable[..., Any]) -> None:
    here = await stand(upstream={"url": "http://127.0.0.1:9/v1"})
    with pytest.raises(openai.InternalServerError) as caught:
        await here.client.models.list()
    assert caught.value.status_code in {502, 503}
    assert caught.value.body["type"] == "server_error"


async def test_the_upstreams_own_words_leave_only_where_they_break_no_rule(
    stand: Callable[..., Any], fake_upstream: Any
) -> None:
    here = await stand()
    fake_upstream.script("e400")
    with pytest.raises(openai.BadRequestError, match="too few of them"):
        await here.client.embeddings.create(model="fake", input="a")
    fake_upstream.script("e404")
    with pytest.raises(openai.NotFoundError, match="the model's server refused the request") as caught:
        await here.client.embeddings.create(model="fake", input="a")
    assert "nobody" not in caught.value.response.text


async def test_a_key_of_ours_is_not_handed_on(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand()
    await here.as_key("theirs").embeddings.create(model="fake", input="a")
    assert fake_upstream.seen()[-1]["headers"]["authorization"] == "Bearer theirs"
    here.door.locked = True
    await here.as_key("embed").embeddings.create(model="fake", input="a")
    assert "authorization" not in {name.lower() for name in fake_upstream.seen()[-1]["headers"]}
    with pytest.raises(openai.PermissionDeniedError):
        await here.as_key("embed").models.list()
    with pytest.raises(openai.PermissionDeniedError):
        await here.as_key("chat").embeddings.create(model="fake", input="a")
    assert (await here.as_key("chat").models.list()).data
