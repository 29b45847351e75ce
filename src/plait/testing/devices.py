"""The `device` fixture that every suite shares: the CPU, and CUDA where tests marked `gpu` are asked for."""

from __future__ import annotations

import pytest
import torch


class OnDevices:
    """Gives the laws of a suite a `device`; a subclass may narrow the choice."""

    @pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
    def device(self, request: pytest.FixtureRequest) -> torch.device:
        """The device to test on; skipped where the machine has none of the kind."""
        if request.param == "cuda" and not torch.cuda.is_available():
            pytest.skip("this machine has no CUDA device")
        return torch.device(request.param)
