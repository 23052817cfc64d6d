"""The server as its OpenAPI document describes it, by schemathesis: data that fits the document, and data that does
not."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from server.app import apis
from tests.server.serving import Served

OPERATIONS = sorted(
    (method.upper(), path)
    for module in apis()
    for path, methods in getattr(module, "OPENAPI", {}).get("paths", {}).items()
    for method in methods
)
WITH_BODY = [(method, path) for method, path in OPERATIONS if method == "POST" and path != "/admin/reload"]
ALL_APIS = ("--set", 'upstream.apis=["chat_completions","messages","responses"]')
PASSED_ON = {"/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/v1/embeddings"}
"""Whatever the guard does not need to understand is the upstream's to refuse."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, fake_upstream_process: Any) -> Iterator[Served]:
    fake_upstream_process.forget()
    server = Served(tmp_path_factory.mktemp("openapi"), "--upstream", fake_upstream_process.url, *ALL_APIS).ready()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, fake_upstream_process: Any) -> Iterator[tuple[Served, str]]:
    """A server that asks for keys, and a key for everything."""
    fake_upstream_process.forget()
    args = ("--upstream", fake_upstream_process.url, "--set", "auth=keys", "--set", "keys_refresh_s=0.05", *ALL_APIS)
    server = Served(tmp_path_factory.mktemp("locked"), *args).ready()
    from server.keys.store import KeyStore

    store = KeyStore(f"sqlite:///{server.folder / 'data' / 'audit.sqlite'}")
    _, secret = store.add("all", scopes=["chat", "moderate", "embed", "read", "feedback", "audit", "admin"])
    url, headers = f"{server.url}/v1/models", {"x-api-key": secret}
    server.until(lambda: requests.get(url, headers=headers, timeout=10).ok)
    yield server, secret
    server.kill()


def check(served: Served, method: str, path: str, mode: GenerationMode, examples: int, *, fixed: bool = True) -> None:
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    operation = schema[path][method]
    excluded: list[Any] = [not_a_server_error, ignored_auth]
    if path in PASSED_ON:
        excluded.append(negative_data_rejection)
    if path.endswith("count_tokens"):
        excluded.append(positive_data_acceptance)  # a conversation that is blocked has no count
    session = requests.Session()
    session.trust_env = False

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=fixed,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        answer = case.call(session=session, timeout=20)
        # What stands behind refuses what it does not understand in its own way, which is told as 502.
        assert answer.status_code < 500 or answer.status_code == 502, (answer.status_code, answer.text)
        case.validate_response(answer, excluded_checks=excluded)

    try:
        run()
    finally:
        session.close()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_fits_the_document_is_answered_as_it_says(served: Served, method: str, path: str) -> None:
    check(served, method, path, GenerationMode.POSITIVE, 25)


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_what_does_not_fit_the_document_is_refused_as_it_says(served: Served, method: str, path: str) -> None:
    check(served, method, path, GenerationMode.NEGATIVE, 25)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_much_more_of_both(served: Served, method: str, path: str, mode: GenerationMode) -> None:
    check(served, method, path, mode, 400, fixed=False)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_operation_works_without_the_key_that_it_asks_for(
    locked: tuple[Served, str], method: str, path: str
) -> None:
    server, secret = locked
    document = requests.get(f"{server.url}/openapi.json", timeout=10).json()
    asks = "security" in document["paths"][path][method.lower()]
    url = server.url + path.replace("{model}", "fake").replace("{decision}", "d_none")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": secret[:-1]}, {"authorization": secret}):
        answer = requests.request(method, url, json={}, headers=headers, timeout=10)
        assert (answer.status_code == 401) == asks, answer.text
        assert "message" in answer.json()["error"] if asks else answer.ok
    for headers in ({"authorization": f"Bearer {secret}"}, {"x-api-key": secret}):
        assert requests.request(method, url, json={}, headers=headers, timeout=10).status_code != 401


def test_of_a_key_that_comes_twice_the_last_one_counts(locked: tuple[Served, str]) -> None:
    server, secret = locked
    for keys, status in (((secret, "wrong"), 401), (("wrong", secret), 200)):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
        connection.putrequest("GET", "/v1/models")
        for key in keys:
            connection.putheader("authorization", f"Bearer {key}")
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_other_methods_are_told_which_ones_there_are(served: Served, method: str, path: str) -> None:
    url = served.url + path.replace("{model}", "fake").replace("{decision}", "d_none")
    for other in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"} - {method}:
        answer = requests.request(other, url, timeout=10)
        assert answer.status_code == 405, (other, answer.text)
        assert method in answer.headers["allow"].split(", ")
        assert answer.json()["error"]["message"]
    head = requests.head(url, timeout=10)
    assert head.text == ""
    assert head.status_code == (405 if method == "POST" else requests.get(url, timeout=10).status_code)


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1/messages/nothing", "/v1/chat", "/v1/", "/nothing", "/v1/chat/completions/x"]
)
def test_an_unknown_path_is_refused_in_the_shape_of_its_api(served: Served, path: str) -> None:
    answer = requests.post(served.url + path, json={}, timeout=10)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["message"]
    assert (answer.json().get("type") == "error") == path.startswith("/v1/messages")


def test_the_document_says_of_every_operation_what_it_is_and_how_it_fails(served: Served) -> None:
    document = served.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            assert said["summary"], (method, path)
            assert said["tags"], (method, path)
            for status, response in said["responses"].items():
                assert response["description"], (path, status)
                assert response["content"], (path, status)
                json_schema = response["content"].get("application/json", {"schema": True})["schema"]
                assert json_schema not in ({}, {"type": "object"}), (path, status)
