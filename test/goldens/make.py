"""Writes the golden files that tests compare with, and checks what Odyssey writes.

usage: make.py BIN    (BIN has odyssey-quantize; `./dev goldens` calls this)

One folder per model, each a random small model as transformers saves it:

  llama3, mistral, qwen2, qwen3   bf16 weights, and golden.safetensors with `tokens` and
                                  transformers' fp32 `logits` of every one of them
  int-quantized                   W4A8 INT by compressed-tensors, per channel
  pack-quantized                  4-bit weights by compressed-tensors, per channel
  pack-quantized-groups           the same in groups of 32
  gptq, gptq-groups               as AutoGPTQ stores them: format "gptq" per channel, and
                                  "gptq_v2" in groups of 32 ordered by activation

The golden.safetensors of the quantized ones has the weights as that package (for GPTQ:
this script) decompresses them, by the names of the unquantized model.

At the end, what odyssey-quantize writes is read back by compressed-tensors and loaded by
transformers, and must be equal to the integers and scales of the file.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers
from compressed_tensors.compressors import (
    IntQuantizationCompressor,
    PackedQuantizationCompressor,
)
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
)
from safetensors.torch import load_file, save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

ROOT = pathlib.Path(__file__).parent
TOKENS = 64
VOCABULARY = 64
# A feed-forward width that does not divide by 16.
SIZES = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=72,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=None,
)
LLAMA3 = dict(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
# Of the quantized models: one layer, whose widths groups of 32 divide.
QUANTIZED_SIZES = {**SIZES, "intermediate_size": 96, "num_hidden_layers": 1}
MODELS = {
    "llama3": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZES, rope_scaling=LLAMA3, rope_theta=500000.0)
    ),
    "mistral": lambda: MistralForCausalLM(
        MistralConfig(**SIZES, head_dim=16, sliding_window=None)
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=True)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=16, rope_theta=1e6)),
}


def randomize(model, seed):
    """Weights with which logits depend on everything, in values that bf16 holds."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        if "norm" in name:
            noise = 1 + 0.3 * noise
        elif name.endswith("bias"):
            noise = 0.5 * noise
        elif "embed" in name or "lm_head" in name:
            noise = 0.5 * noise
        else:
            noise = noise * (1.2 / value.shape[1] ** 0.5)
        value.data = noise.to(torch.bfloat16).to(torch.float32)


def write_tokenizer(folder):
    """The least that is a tokenizer: one token per character."""
    vocabulary = {chr(33 + i): i for i in range(VOCABULARY)}
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer) + "\n")


def fresh(name):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_tokenizer(folder)
    return folder


def save(tensors, path):
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    os.chmod(path, 0o644)


def save_model(model, folder):
    """As save_pretrained does, but without what depends on the package's version."""
    model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    os.chmod(folder / "model.safetensors", 0o644)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model.to(torch.float32)


def run(model):
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randint(0, VOCABULARY, (TOKENS,), generator=generator)
    with torch.no_grad():
        logits = model(tokens[None]).logits[0]
    return {"tokens": tokens.to(torch.int32), "logits": logits.to(torch.float32)}


def make_models():
    for seed, (name, make) in enumerate(MODELS.items()):
        model = make().eval()
        randomize(model, seed)
        folder = fresh(name)
        save(run(model), folder / "golden.safetensors")
        save_model(model, folder)


def linears(model):
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    }


def groups_of(weight, size):
    return weight.reshape(weight.shape[0], -1, size or weight.shape[1])


def scales_of(weight, size, dtype):
    """[N, groups], so that the greatest magnitude of a group is 7 steps."""
    return (groups_of(weight, size).abs().amax(2) / 7).to(dtype)


def make_quantized(name, config, scale_dtype):
    """Quantized by compressed-tensors itself, from its own config."""
    model = LlamaForCausalLM(LlamaConfig(**QUANTIZED_SIZES)).eval()
    randomize(model, 11)
    scheme = config.config_groups["group_0"]
    compressor = {
        "int-quantized": IntQuantizationCompressor,
        "pack-quantized": PackedQuantizationCompressor,
    }[config.format](config=config)
    state = {k: v.to(torch.bfloat16) for k, v in model.state_dict().items()}
    schemes = {}
    for module in linears(model):
        weight = model.get_parameter(module + ".weight").data
        size = scheme.weights.group_size
        scale = scales_of(weight, size, scale_dtype)
        state[module + ".weight"] = weight.to(scale_dtype)
        state[module + ".weight_scale"] = scale
        schemes[module] = scheme
    compressed = compressor.compress(state, schemes)
    folder = fresh(name)
    save(compressed, folder / "model.safetensors")
    settings = model.config.to_dict()
    settings["architectures"] = ["LlamaForCausalLM"]
    settings["torch_dtype"] = "bfloat16"
    settings["quantization_config"] = config.to_dict()
    (folder / "config.json").write_text(json.dumps(settings, indent=2, default=str) + "\n")

    golden = {}
    for module in schemes:
        parts = {
            key.removeprefix(module + "."): value
            for key, value in compressed.items()
            if key.startswith(module + ".")
        }
        # In 16 bits that package would round the products.
        parts["weight_scale"] = parts["weight_scale"].to(torch.float32)
        weight = compressor.decompress_weight(parts, quantization_args=scheme.weights)
        assert weight.dtype == torch.float32
        golden[module + ".weight"] = weight
    save(golden, folder / "golden.safetensors")


def decompress(compressor, folder, schemes):
    return compressor.decompress(str(folder), names_to_scheme=schemes)


def config_of(format, group_size, activations):
    weights = QuantizationArgs(
        num_bits=4,
        type="int",
        symmetric=True,
        strategy="group" if group_size else "channel",
        group_size=group_size or None,
    )
    inputs = QuantizationArgs(
        num_bits=8, type="int", symmetric=True, strategy="token", dynamic=True
    )
    return QuantizationConfig(
        config_groups={
            "group_0": QuantizationScheme(
                targets=["Linear"],
                weights=weights,
                input_activations=inputs if activations else None,
            )
        },
        format=format,
        quantization_status="compressed",
        ignore=["lm_head"],
    )


def pack(values, dimension):
    """Eight 4-bit values in a 32-bit word along `dimension`, the first lowest."""
    values = values.movedim(dimension, 0).to(torch.int64)
    words = values.reshape(values.shape[0] // 8, 8, -1)
    shifts = (4 * torch.arange(8)).reshape(1, 8, 1)
    packed = (words << shifts).sum(1)
    packed = torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32)
    return packed.movedim(0, dimension)


def make_gptq(name, group_size, version, act_order):
    """The layout of AutoGPTQ's QuantLinear.pack, written down anew."""
    model = LlamaForCausalLM(LlamaConfig(**QUANTIZED_SIZES)).eval()
    randomize(model, 13)
    state = {k: v.to(torch.float16) for k, v in model.state_dict().items()}
    golden = {}
    generator = torch.Generator().manual_seed(5)
    for module in linears(model):
        weight = model.get_parameter(module + ".weight").data
        n, k = weight.shape
        size = group_size if group_size > 0 else k
        order = torch.randperm(k, generator=generator) if act_order else torch.arange(k)
        group = torch.empty(k, dtype=torch.int64)
        group[order] = torch.arange(k) // size
        scale = torch.stack(
            [weight[:, group == g].abs().amax(1) / 7 for g in range(k // size)], 1
        ).to(torch.float16)
        spread = scale.to(torch.float32)[:, group]
        integers = torch.clamp(torch.round(weight / spread), -8, 7)
        golden[module + ".weight"] = integers * spread
        del state[module + ".weight"]
        # Version 1 stores one less than it means.
        zero = 7 if version == "gptq" else 8
        state[module + ".qweight"] = pack((integers + 8).t(), 0)
        state[module + ".qzeros"] = pack(torch.full((k // size, n), zero), 1)
        state[module + ".scales"] = scale.t()
        state[module + ".g_idx"] = group.to(torch.int32)
        # AutoGPTQ gives linears without a bias one of zeros.
        state[module + ".bias"] = torch.zeros(n, dtype=torch.float16)
    folder = fresh(name)
    save(state, folder / "model.safetensors")
    settings = model.config.to_dict()
    settings["architectures"] = ["LlamaForCausalLM"]
    settings["torch_dtype"] = "float16"
    settings["quantization_config"] = {
        "bits": 4,
        "checkpoint_format": version,
        "damp_percent": 0.01,
        "desc_act": act_order,
        "group_size": group_size,
        "quant_method": "gptq",
        "static_groups": False,
        "sym": True,
        "true_sequential": True,
    }
    (folder / "config.json").write_text(json.dumps(settings, indent=2, default=str) + "\n")
    save(golden, folder / "golden.safetensors")


def check_written(programs):
    """A folder by odyssey-quantize, read by compressed-tensors and by transformers."""
    with tempfile.TemporaryDirectory() as work:
        for name in MODELS:
            folder = pathlib.Path(work) / name
            command = [programs / "odyssey-quantize", ROOT / name, "-o", folder]
            subprocess.run([*command, "--recipe=rtn", "--quiet"], check=True)
            written = load_file(folder / "model.safetensors")
            settings = json.loads((folder / "config.json").read_text())
            config = QuantizationConfig.model_validate(settings["quantization_config"])
            scheme = config.config_groups["group_0"]
            modules = [
                key.removesuffix(".weight_scale")
                for key in written
                if key.endswith(".weight_scale")
            ]
            compressor = IntQuantizationCompressor(config=config)
            schemes = {module: scheme for module in modules}
            seen = 0
            for module, values in decompress(compressor, folder, schemes):
                weight = written[module + ".weight"]
                expected = weight.to(torch.float32) * written[module + ".weight_scale"]
                assert torch.equal(values["weight"].to(torch.float32), expected), module
                seen += 1
            assert seen == len(modules) == 14, (seen, len(modules))

            # The whole way: transformers finds the config, decompresses and runs.
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                quantization_config=transformers.CompressedTensorsConfig(
                    run_compressed=False
                ),
            ).eval()
            for module in modules:
                weight = model.get_parameter(module + ".weight").data
                expected = (
                    written[module + ".weight"].to(torch.float32)
                    * written[module + ".weight_scale"]
                )
                assert torch.equal(weight.to(torch.float32), expected), module
            golden = load_file(ROOT / name / "golden.safetensors")
            logits = run(model)["logits"]
            likeness = torch.nn.functional.cosine_similarity(
                logits.flatten(), golden["logits"].flatten(), dim=0
            )
            assert likeness > 0.9, (name, likeness)
            print(
                f"{name}: {seen} linears read back equal; logits in transformers have a "
                f"cosine of {likeness:.4f} with those of fp32"
            )


def main():
    torch.set_num_threads(1)
    programs = pathlib.Path(sys.argv[1]).resolve()
    make_models()
    make_quantized("int-quantized", config_of("int-quantized", 0, True), torch.bfloat16)
    make_quantized("pack-quantized", config_of("pack-quantized", 0, False), torch.float16)
    make_quantized(
        "pack-quantized-groups", config_of("pack-quantized", 32, False), torch.float16
    )
    make_gptq("gptq", -1, "gptq", False)
    make_gptq("gptq-groups", 32, "gptq_v2", True)
    total = sum(p.stat().st_size for p in ROOT.rglob("*") if p.is_file())
    assert total < 1_000_000, total
    print(f"{total} bytes of golden files")
    check_written(programs)


if __name__ == "__main__":
    main()
