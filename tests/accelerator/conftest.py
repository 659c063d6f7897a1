"""As in tests/train: one thread."""

from tests.train.conftest import _on_one_thread  # noqa: F401 - a fixture that every test here uses
