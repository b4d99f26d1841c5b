"""Times Hugging Face transformers' LLaMA in fp16, for comparison with `odyssey-bench model`.

usage: hf_baseline.py [--model llama-2-7b] [--modes eager,compiled] [--batches 1,8,32] [-o FILE]

Weights are random, of the model's shapes. For each mode and batch: the prefill of a prompt of 1,024
tokens, and 128 decode steps after it. `eager` is transformers as it comes (SDPA attention, dynamic
cache); `compiled` is torch.compile with CUDA graphs ("reduce-overhead") and the static cache. The
JSON is that of `odyssey-bench model`.
"""

import argparse
import sys

import common


def build_model(torch, name, layers):
    import transformers

    hidden, all_layers, heads, kv_heads, head_dim, ffn, vocabulary, epsilon, theta, tied = (
        common.MODELS[name]
    )
    config = transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_hidden_layers=layers or all_layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        max_position_embeddings=4096,
        rms_norm_eps=epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        tie_word_embeddings=tied,
    )
    with torch.device("cuda"):
        model = transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.float16, attn_implementation="sdpa"
        )
    return model.eval()


class Engine:
    """One mode of one model: prefill and decode steps on a cache."""

    def __init__(self, torch, model, compiled):
        self.torch = torch
        self.model = model
        self.compiled = compiled
        self.forward = (
            torch.compile(model.forward, mode="reduce-overhead", dynamic=False)
            if compiled
            else model.forward
        )

    def new_cache(self, length):
        import transformers

        if self.compiled:
            return transformers.StaticCache(config=self.model.config, max_cache_len=length)
        return transformers.DynamicCache(config=self.model.config)

    def step(self, tokens, cache):
        """The next token of each sequence after `tokens` [batch, count]."""
        if self.compiled:
            self.torch.compiler.cudagraph_mark_step_begin()
        output = self.forward(
            input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return output.logits[:, -1:].argmax(-1)


def measure(torch, engine, batch, prompt_tokens, decode_tokens, runs):
    """Seconds of each prefill, and of each decode step."""
    vocabulary = engine.model.config.vocab_size
    prompt = torch.randint(0, vocabulary, (batch, prompt_tokens), device="cuda")
    cache = engine.new_cache(prompt_tokens + decode_tokens)
    prefill, decode = [], []
    # The first run loads, compiles and records; it does not count.
    for run in range(runs + 1):
        if engine.compiled:
            cache.reset()
        else:
            cache = engine.new_cache(prompt_tokens + decode_tokens)
        torch.cuda.synchronize()
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(decode_tokens + 2)]
        marks[0].record()
        tokens = engine.step(prompt, cache)
        marks[1].record()
        for mark in marks[2:]:
            tokens = engine.step(tokens, cache)
            mark.record()
        torch.cuda.synchronize()
        seconds = [a.elapsed_time(b) * 1e-3 for a, b in zip(marks, marks[1:])]
        if run > 0:
            prefill.append(seconds[0])
            decode += seconds[1:]
    return prefill, decode


def run(torch, arguments):
    import transformers

    document = {
        "format": 1,
        "benchmark": "model",
        "device": common.device_json(torch),
        "results": [],
    }
    deadline = common.Deadline(arguments.time_limit)
    model = build_model(torch, arguments.model, arguments.layers)
    # Process start to first token; random weights are made, not loaded.
    engine = Engine(torch, model, compiled=False)
    prompt = torch.randint(0, model.config.vocab_size, (1, 16), device="cuda")
    with torch.inference_mode():
        engine.step(prompt, engine.new_cache(16)).item()
    document["first_token_seconds"] = common.process_seconds()
    for mode in arguments.modes.split(","):
        engine = Engine(torch, model, mode == "compiled")
        for batch in (int(size) for size in arguments.batches.split(",")):
            result = {
                "engine": f"transformers {transformers.__version__} {mode}",
                "name": f"hf_fp16_{mode}",
                "model": arguments.model,
                "layers": model.config.num_hidden_layers,
                "weight_bits": 16,
                "batch": batch,
                "prompt_tokens": arguments.prompt_tokens,
                "decode_tokens": arguments.decode_tokens,
            }
            document["results"].append(result)
            if deadline.passed():
                result["error"] = "not measured: the time limit has passed"
                continue
            try:
                with torch.inference_mode():
                    prefill, decode = measure(
                        torch,
                        engine,
                        batch,
                        arguments.prompt_tokens,
                        arguments.decode_tokens,
                        arguments.runs,
                    )
            except torch.cuda.OutOfMemoryError as error:
                result["error"] = str(error).splitlines()[0]
                torch.cuda.empty_cache()
                continue
            result["prefill_seconds"] = common.timing(prefill)
            result["decode_step_seconds"] = common.timing(decode)
            result["prefill_tokens_per_second"] = (
                batch * arguments.prompt_tokens / result["prefill_seconds"]["median"]
            )
            result["decode_tokens_per_second"] = batch / result["decode_step_seconds"]["median"]
            print(
                f"{result['name']} batch {batch}: prefill "
                f"{result['prefill_tokens_per_second']:.0f} tokens/s, decode "
                f"{result['decode_tokens_per_second']:.1f} tokens/s",
                file=sys.stderr,
            )
            if arguments.output:
                common.write_json(document, arguments.output)
    return document


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="llama-2-7b", choices=sorted(common.MODELS))
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the model has")
    parser.add_argument("--modes", default="eager,compiled")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--prompt-tokens", type=int, default=1024)
    parser.add_argument("--decode-tokens", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--time-limit", type=float, default=0, help="seconds; 0 for none")
    parser.add_argument("-o", "--output", help="JSON file (default: standard output)")
    arguments = parser.parse_args()
    unknown = set(arguments.modes.split(",")) - {"eager", "compiled"}
    if unknown:
        parser.error(f"unknown mode '{unknown.pop()}', expected eager or compiled")
    torch = common.require_gpu()
    torch.manual_seed(0)
    common.write_json(run(torch, arguments), arguments.output)


if __name__ == "__main__":
    main()
