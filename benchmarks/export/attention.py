"""The transformer block that several architectures share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """softmax(Q Kᵀ / sqrt(d) + mask) V over (batch, tokens, width)."""

    def __init__(self, width: int, heads: int, key_bias: bool = True) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query, self.value, self.output = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=key_bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The attended values, of the shape of x."""
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / self.size**0.5
        if mask is not None:
            scores = scores + mask
        attended = torch.softmax(scores, dim=-1) @ value
        return self.output(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, self.size).transpose(1, 2)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to what came in; normalised before (ViT) or after (BERT)."""

    def __init__(self, width: int, heads: int, norm_first: bool, key_bias: bool = True, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, key_bias)
        self.first, self.second = nn.LayerNorm(width, epsilon), nn.LayerNorm(width, epsilon)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norm_first = norm_first

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The block's output, of the shape of x."""
        if self.norm_first:
            x = x + self.attention(self.first(x), mask)
            return x + self.perceptron(self.second(x))
        x = self.first(x + self.attention(x, mask))
        return self.second(x + self.perceptron(x))
