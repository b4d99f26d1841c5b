"""Times Humming's W4A8 product (PyPI humming-kernels), the strongest open peer, beside Odyssey's.

usage: peer_humming.py [--shapes llama-2-7b,8192x8192] [--tokens 1,16,128] [-o FILE]

Through its public API: a HummingLayer with 4-bit weights, one scale per output channel, and int8
activations with one scale per token. Copies of the layer are used in turn, so that weights come
from memory and not from the cache, as in odyssey-bench; two times are taken, of the product alone
(activations quantized before) and with the quantization in front. Results are compared with fp16's.
The JSON is that of `odyssey-bench gemm`.
"""

import argparse
import copy
import sys

import common


def make_layers(torch, humming_layer, n, k, cache_bytes):
    """Copies of one quantized layer, many times the cache together, and the fp16 weights."""
    torch.manual_seed(n * 31 + k)
    weight = torch.randn((n, k), dtype=torch.float16, device="cuda") / k**0.5
    layer = humming_layer.HummingLayer(
        shape_n=n,
        shape_k=k,
        weight_config={"dtype": "int4"},
        input_config={"dtype": "int8"},
        torch_dtype=torch.float16,
    ).cuda()
    layer.load_from_unquantized(weight)
    layer.transform()
    copies = common.rotating_copies(n * k // 2, cache_bytes)
    return [layer] + [copy.deepcopy(layer) for _ in range(copies - 1)], weight


def measure(torch, humming_layer, layers, weight, m, seconds):
    """The part of a result that one token count gives."""
    k = weight.shape[1]
    x = torch.randn((m, k), dtype=torch.float16, device="cuda")
    quantized, scale = humming_layer.HummingMethod.may_quant_input(layers[0], x)
    output = layers[0](quantized, input_scale=scale).float()
    expected = (x @ weight.t()).float()
    similarity = torch.nn.functional.cosine_similarity(output.flatten(), expected.flatten(), dim=0)
    # 4-bit rounding of Gaussian weights alone leaves about 0.99.
    if not similarity > 0.95:
        return {"error": f"wrong result: cosine similarity {similarity.item():.3f} to fp16"}

    def product(layer):
        return lambda: layer(quantized, input_scale=scale)

    def with_quantization(layer):
        return lambda: layer(x)

    result = {"cosine_similarity": similarity.item()}
    result["seconds"] = common.time_rotation(torch, [product(l) for l in layers], seconds)
    result["with_quantization_seconds"] = common.time_rotation(
        torch, [with_quantization(l) for l in layers], seconds
    )
    return result


def run(torch, humming_layer, version, arguments):
    document = {
        "format": 1,
        "benchmark": "gemm",
        "engine": f"humming-kernels {version}",
        "device": common.device_json(torch),
        "results": [],
    }
    deadline = common.Deadline(arguments.time_limit)
    cache_bytes = document["device"]["cache_bytes"]
    for n, k in common.parse_shapes(arguments.shapes):
        layers, weight = make_layers(torch, humming_layer, n, k, cache_bytes)
        for m in (int(tokens) for tokens in arguments.tokens.split(",")):
            result = {"name": "humming", "m": m, "n": n, "k": k, "weight_bits": 4}
            document["results"].append(result)
            if deadline.passed():
                result["error"] = "not measured: the time limit has passed"
                continue
            result["bytes"] = n * k / 2 + 2 * n + m * (k + 4) + 2 * m * n
            result["operations"] = 2.0 * m * n * k
            try:
                result.update(
                    measure(torch, humming_layer, layers, weight, m, arguments.seconds)
                )
            except RuntimeError as error:
                result["error"] = str(error).splitlines()[0]
            if "seconds" in result:
                median = result["seconds"]["median"]
                print(
                    f"humming {m} x {n} x {k}: {median * 1e6:.2f} us, "
                    f"{result['bytes'] / median * 1e-9:.0f} GB/s, "
                    f"{result['operations'] / median * 1e-12:.1f} TOPS",
                    file=sys.stderr,
                )
            if arguments.output:
                common.write_json(document, arguments.output)
        del layers, weight
        torch.cuda.empty_cache()
    return document


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--shapes", default="llama-2-7b", help="model names and NxK")
    parser.add_argument("--tokens", default="1,2,4,8,16,32,64,128,256,512,1024,2048,4096")
    parser.add_argument("--seconds", type=float, default=0.1, help="of each measurement")
    parser.add_argument("--time-limit", type=float, default=0, help="seconds; 0 for none")
    parser.add_argument("-o", "--output", help="JSON file (default: standard output)")
    arguments = parser.parse_args()
    torch = common.require_gpu()
    try:
        import humming
        import humming.layer
    except ImportError as error:
        sys.exit(f"humming-kernels is needed: {error}")
    version = getattr(humming, "__version__", "of an unknown version")
    common.write_json(run(torch, humming.layer, version, arguments), arguments.output)


if __name__ == "__main__":
    main()
