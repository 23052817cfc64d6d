from tests.server.bypass.standing import stands, when

__all__ = ["stands", "when"]
