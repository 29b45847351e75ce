"""The surrogate of the published search: a recurrent network that reads a point level by level."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plait.search.surrogates._base import SURROGATES, Surrogate

HIDDEN = 100
STEPS = 120
BATCH = 64
RATE = 5e-3


@SURROGATES.register("lstm")
class Lstm(Surrogate):
    """Embedding, an LSTM over the levels, a linear layer to the score (Perez-Rua et al. 2019, MFAS, section 3.2).

    As published: 100 hidden units, trained by Adam on the squared error. Own choices: a vector is learned for each
    number at each place and those of a level are added up, since the numbers are names, not amounts; scores are
    standardised, and the last layer is linear, so that they may be in any unit; a fixed number of steps, so that a
    refit takes as long with 1,000 scores as with 100. A number that no scored point has adds nothing.
    """

    def fit(self, encoded: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Train from scratch."""
        self._mean, self._spread = float(scores.mean()), float(scores.std()) or 1.0
        self._highest = encoded.max(axis=(0, 1))  # [C]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(self.seed)
            self._embedding = nn.Embedding(1 + int((self._highest + 1).sum()), HIDDEN, padding_idx=0)
            self._lstm = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
            self._head = nn.Linear(HIDDEN, 1)
            parts = nn.ModuleList([self._embedding, self._lstm, self._head])
            optimizer = torch.optim.Adam(parts.parameters(), RATE)
            inputs, levels = self._read(encoded)
            targets = torch.from_numpy((scores - self._mean) / self._spread).float()
            rows = torch.cat([torch.randperm(len(scores)) for _ in range(-(-STEPS * BATCH // len(scores)))])
            for step in range(STEPS):
                batch = rows[step * BATCH : (step + 1) * BATCH]
                optimizer.zero_grad(set_to_none=True)
                told = self._forward(inputs[batch], levels[batch])
                torch.autograd.backward(nn.functional.mse_loss(told, targets[batch]))
                optimizer.step()

    def predict(self, encoded: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the network says, in the unit of the scores."""
        with torch.inference_mode():
            told = self._forward(*self._read(encoded)).double().numpy()
        return np.asarray(told * self._spread + self._mean, np.float64)

    def _read(self, encoded: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Places in the table of vectors [n, L, C], 0 for numbers that are unknown, and the last level [n] of each."""
        first = np.concatenate([[0], np.cumsum(self._highest + 1)[:-1]]) + 1
        places = np.where(encoded <= self._highest, encoded + first, 0)
        levels = np.maximum(1, np.count_nonzero(encoded.any(axis=2), axis=1))
        return torch.from_numpy(places), torch.from_numpy(levels - 1)

    def _forward(self, places: Tensor, last: Tensor) -> Tensor:
        """Standardised scores [n]: what the network says after the last level that a point has."""
        read = self._embedding(places).sum(dim=2)  # [n, L, HIDDEN]
        states, _ = self._lstm(read)
        told: Tensor = self._head(states[torch.arange(len(last)), last])  # [n, 1]
        return told[:, 0]
