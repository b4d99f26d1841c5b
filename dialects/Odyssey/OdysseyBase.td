//===- OdysseyBase.td - The tensor-level dialect ----------------*- tablegen -*-===//

#ifndef ODYSSEY_BASE
#define ODYSSEY_BASE

include "mlir/IR/OpBase.td"

def Odyssey_Dialect : Dialect {
  let name = "odyssey";
  let cppNamespace = "::odyssey::graph";
  let summary = "The graph of a quantized language model";
  let description = [{
    Tensor-level operations of a decoder whose matrix products are W4A8: 4-bit
    weights, 8-bit activations; or, to compare them with, W8A8. The number of tokens M is the one size that may
    be dynamic, and is always the leading dimension. Weights are references by
    name (`odyssey.weight`), never constants in the text. Tensors are values;
    what lives from one step to the next (the KV cache, the hidden states) is a
    `memref` argument of the function.

    What each operation computes, to the bit, is in `docs/numerics.md`.
  }];
  let dependentDialects = ["::odyssey::fastgemm::FastGemmDialect"];
}

class Odyssey_Op<string mnemonic, list<Trait> traits = []>
    : Op<Odyssey_Dialect, mnemonic, traits>;

def Odyssey_F16Tensor : RankedTensorOf<[F16]>;
def Odyssey_F16Matrix : 2DTensorOf<[F16]>;
def Odyssey_F32Vector : 1DTensorOf<[F32]>;
def Odyssey_F16Vector : 1DTensorOf<[F16]>;
def Odyssey_I32Vector : 1DTensorOf<[I32]>;
def Odyssey_I32Matrix : 2DTensorOf<[I32]>;
def Odyssey_I8Matrix : 2DTensorOf<[I8]>;
def Odyssey_I4 : I<4>;
def Odyssey_WeightMatrix : 2DTensorOf<[Odyssey_I4, I8]>;
def Odyssey_FloatMatrix : 2DTensorOf<[F16, F32]>;
/// [tokens, heads, chunks of the KV length, numbers].
def Odyssey_Chunks : TensorRankOf<[F32], [4]>;
/// [layers, pages, 2 (keys, values), KV heads, page tokens, head dimension] of
/// fp16, or of i8 with a last dimension greater by 4: 64 rows of a head are then
/// followed by the fp32 scale of each.
def Odyssey_KvCache : MemRefRankOf<[F16, I8], [6]>;

#endif // ODYSSEY_BASE
