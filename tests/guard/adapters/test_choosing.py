from __future__ import annotations

import pytest

from guard.adapters import adapters, choose_adapter
from guard.adapters.base import Adapter
from guard.models.base import ModelConfigError

LOCAL = "openai:http://127.0.0.1:8000/v1#"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("meta-llama/Llama-Guard-3-8B", "llama-guard-3"),
        ("meta-llama/Llama-Guard-3-8B-INT8", "llama-guard-3"),
        ("meta-llama/Llama-Guard-3-1B", "llama-guard-3-1b"),
        ("llama-guard3:8b", "llama-guard-3"),
        ("llama-guard3:1b", "llama-guard-3-1b"),
        ("meta-llama/Llama-Guard-4-12B", "llama-guard-4"),
        ("google/shieldgemma-2b", "shieldgemma"),
        ("google/shieldgemma-27b", "shieldgemma"),
        ("Qwen/Qwen3Guard-Gen-0.6B", "qwen3guard"),
        ("openai/gpt-oss-safeguard-120b", "gpt-oss-safeguard"),
        ("ibm-granite/granite-guardian-3.0-2b", "granite-guardian-3.0"),
        ("ibm-granite/granite-guardian-3.2-3b-a800m", "granite-guardian-3.0"),
        ("ibm-granite/granite-guardian-3.3-8b", "granite-guardian-3.3"),
    ],
)
def test_a_model_is_known_by_its_name(model, name):
    assert choose_adapter("auto", LOCAL + model).name == name
    assert choose_adapter("auto", f"hf:{model}@0123456789ab/bfloat16").name == name


@pytest.mark.parametrize(
    "model",
    [
        "meta-llama/Meta-Llama-Guard-2-8B",  # numbers its categories otherwise
        "meta-llama/Llama-Guard-3-11B-Vision",
        "google/shieldgemma-2-4b-it",  # for images
        "Qwen/Qwen3Guard-Stream-4B",
        "Qwen/Qwen3-8B",
        "openai/gpt-oss-20b",
        "ibm-granite/granite-guardian-4.1-8b",
        "ibm-granite/granite-3.3-8b-instruct",
    ],
)
def test_a_model_of_no_family_is_refused_by_name(model):
    with pytest.raises(ModelConfigError, match="no adapter knows"):
        choose_adapter("auto", LOCAL + model)


def test_the_address_of_an_endpoint_says_nothing_of_its_model():
    with pytest.raises(ModelConfigError, match="no adapter knows"):
        choose_adapter("auto", "openai:http://qwen3guard.internal/v1#default")


def test_an_adapter_can_be_named_whatever_the_model_is_called():
    assert choose_adapter("llama-guard-4", LOCAL + "default").name == "llama-guard-4"
    with pytest.raises(ModelConfigError, match="no adapter `lama-guard-3`") as refused:
        choose_adapter("lama-guard-3", LOCAL + "default")
    assert "did you mean `llama-guard-3`" in str(refused.value)


def test_every_adapter_keeps_to_the_protocol():
    found = adapters()
    assert len(found) == 8
    for name, adapter in found.items():
        assert isinstance(adapter, Adapter)
        assert adapter.name == name
