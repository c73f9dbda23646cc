"""Records dynamic loss scaling by PyTorch's GradScaler with AdamW for tests/data/loss_scale.json.

    pip install torch==2.15.0
    python tests/record_loss_scale.py

Two parameters are stepped with given gradients of the scaled loss; some of them overflow. After each step stand the scale, and the parameters.
"""

import json
import pathlib

import torch

STEPS = 14
OVERFLOWS = {0: float("inf"), 1: float("nan"), 6: float("-inf"), 12: float("inf")}


def main():
    generator = torch.Generator().manual_seed(7)
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 2), (4,))]
    start = [parameter.detach().flatten().tolist() for parameter in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=0.02, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    scaler = torch.amp.GradScaler(
        "cpu", init_scale=1024.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=3
    )
    # The scaler makes its scale when it is first used.
    scaler.scale(torch.zeros(()))
    steps = []
    for step in range(STEPS):
        gradients = [torch.randn(parameter.shape, generator=generator) for parameter in parameters]
        if step in OVERFLOWS:
            gradients[step % 2].flatten()[1] = OVERFLOWS[step]
        scale = scaler.get_scale()
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient * scale
        scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        steps.append(
            {
                # JSON has no infinities.
                "gradients": [[str(value) for value in gradient.flatten().tolist()] for gradient in gradients],
                "norm": str(float(norm)),
                "scale": scaler.get_scale(),
                "parameters": [parameter.detach().flatten().tolist() for parameter in parameters],
            }
        )
    found = {"torch": torch.__version__, "start": start, "steps": steps}
    path = pathlib.Path(__file__).parent / "data" / "loss_scale.json"
    path.write_text(json.dumps(found, indent=1) + "\n")


main()
