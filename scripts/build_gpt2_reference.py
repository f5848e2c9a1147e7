"""Write src/sozai/generators/proofs/gpt2_reference.safetensors: a tiny random GPT-2 and the logits it must give.

    pip install transformers
    python scripts/build_gpt2_reference.py

All weights are drawn anew (norms and biases too, so that none is a no-op), names without the prefix
``transformer.``; ``tokens`` (2, 12) and ``logits`` (2, 12, 17) come with them. The version of transformers is in the
file's metadata.
"""

from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

TARGET = Path(__file__).parents[1] / "src/sozai/generators/proofs/gpt2_reference.safetensors"
HEADS = 2


def reference(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights, tokens and logits."""
    source = torch.Generator().manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=17, n_positions=12, n_embd=16, n_layer=2, n_head=HEADS, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=source))
        tokens = torch.randint(0, 17, (2, 12), generator=source)
        logits = model(tokens).logits
    state = {name.removeprefix("transformer."): weight.detach() for name, weight in model.named_parameters()}
    return {**state, "tokens": tokens, "logits": logits}


if __name__ == "__main__":
    save_file(reference(), TARGET, metadata={"transformers": transformers.__version__, "heads": str(HEADS)})
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
