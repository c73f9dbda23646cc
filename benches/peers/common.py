"""What the peers share: where the encoder lies and how it is opened."""

import importlib.util
import pathlib
import sys


def encoder_folder(name: str) -> pathlib.Path:
    """Returns the Hugging Face folder that `name` stands for: a path, or `pip:NAME`, an installed package that carries one."""
    if not name.startswith("pip:"):
        return pathlib.Path(name)
    package = name.removeprefix("pip:").split("==")[0].replace("-", "_")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"package `{package}` is not installed\nhint: pip install -r benches/peers/requirements.txt")
    for config in sorted(pathlib.Path(spec.origin).parent.rglob("config.json")):
        if (config.parent / "model.safetensors").exists():
            return config.parent
    sys.exit(f"package `{package}` has no folder with `config.json` and `model.safetensors`")
