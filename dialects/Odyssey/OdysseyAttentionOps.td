//===- OdysseyAttentionOps.td - Rotation, KV cache, attention ---*- tablegen -*-===//

#ifndef ODYSSEY_ATTENTION_OPS
#define ODYSSEY_ATTENTION_OPS

include "Odyssey/OdysseyBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Odyssey_RopeAppendOp : Odyssey_Op<"rope_append", [
    AttrSizedOperandSegments, MemoryEffects<[MemWrite]>]> {
  let summary = "rotates queries and keys, appends keys and values to the cache";
  let description = [{
    `inputs` are queries, keys and values of each token, as three tensors or as
    one whose row holds all three. Queries and keys are rotated in pairs
    `(i, i + d/2)` by the token's position, in fp32, and rounded to fp16. Keys
    and values go to the page `page_table[sequence, position / page_tokens]` of
    `cache` at `layer`, as integers with a scale for each token and head; the
    cache's shape is [layers, pages, 2, KV heads, page_tokens, head dimension + 2]
    of f16, or + 4 of i8: the scales stand behind a page's rows. A token at
    position -1 is none and appends nothing. The result are the rotated queries,
    rounded to a unit of each head's own, so that their products with keys can be
    added exactly (`docs/numerics.md`, N21).

    With `norm`, every head of queries and keys is first normalized by its root
    mean square, as by `odyssey.rms_norm` on a row of one head, the rounding to
    fp16 included. The weights have the size of a head and serve all of them.

    Example:

    ```mlir
    %q = odyssey.rope_append %qkv table %t at %positions, %sequences, %pages
        cache %kv layer %layer heads 8
        : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>,
          tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
    %n = odyssey.rope_append %qkv table %t at %positions, %sequences, %pages
        cache %kv layer %layer heads 8 norm %qw, %kw epsilon = 1.0e-6
        : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>,
          tensor<1x2xi32>, memref<5x2x2x4x64x10xf16>, tensor<8xf16>,
          tensor<8xf16> -> tensor<?x64xf16>
    ```
  }];
  let arguments = (ins Variadic<Odyssey_F16Matrix>:$inputs,
                       2DTensorOf<[F32]>:$table,
                       Odyssey_I32Vector:$positions,
                       Odyssey_I32Vector:$sequences,
                       Odyssey_I32Matrix:$page_table,
                       Arg<Odyssey_KvCache, "", [MemWrite]>:$cache,
                       I32:$layer,
                       Optional<Odyssey_F16Vector>:$query_norm,
                       Optional<Odyssey_F16Vector>:$key_norm,
                       I32Attr:$heads, OptionalAttr<F32Attr>:$epsilon);
  let results = (outs Odyssey_F16Matrix:$queries);
  let assemblyFormat = [{
    $inputs `table` $table `at` $positions `,` $sequences `,` $page_table
      `cache` $cache `layer` $layer `heads` custom<Plain>($heads)
      (`norm` $query_norm^ `,` $key_norm `epsilon` `=` custom<PlainF32>($epsilon))?
      attr-dict `:` `(` type($inputs) `)` `,` type($table) `,` type($positions)
      `,` type($sequences) `,` type($page_table) `,` type($cache)
      (`,` type($query_norm)^ `,` type($key_norm))? `->` type($queries)
  }];
  let hasVerifier = 1;
}

def Odyssey_AttentionOp : Odyssey_Op<"attention", [
    MemoryEffects<[MemRead]>]> {
  let summary = "causal attention over the KV cache";
  let description = [{
    Token m at position p of its sequence attends to positions 0 to p. Heads
    `h * G` to `h * G + G - 1` share KV head h. Scores are exact sums of products
    times the keys' scales and `scale`; the softmax is computed online, page by
    page, over chunks of 256 positions, which are merged in ascending order, all in
    fp32; a page's weights are rounded to integers, whose products with values are
    added exactly; the result is rounded to fp16 (`docs/numerics.md`, N22). Every
    bit depends on the position alone, and on no device. A token
    at position -1 is none: its row of the result is zeros. `tile_tokens`, set by
    `odyssey-schedule` or by hand, is how many tokens a CTA takes; it changes no
    bit of the result.

    Example:

    ```mlir
    %o = odyssey.attention %q at %positions, %sequences, %pages
        cache %kv layer %layer heads 8 scale = 0.35355339
        : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>,
          memref<5x2x2x4x64x10xf16>
    ```
  }];
  let arguments = (ins Odyssey_F16Matrix:$queries,
                       Odyssey_I32Vector:$positions,
                       Odyssey_I32Vector:$sequences,
                       Odyssey_I32Matrix:$page_table,
                       Arg<Odyssey_KvCache, "", [MemRead]>:$cache,
                       I32:$layer, I32Attr:$heads, F32Attr:$scale,
                       OptionalAttr<I32Attr>:$tile_tokens);
  let results = (outs Odyssey_F16Matrix:$result);
  let assemblyFormat = [{
    $queries `at` $positions `,` $sequences `,` $page_table `cache` $cache
      `layer` $layer `heads` custom<Plain>($heads)
      `scale` `=` custom<PlainF32>($scale)
      attr-dict `:` type($queries) `,` type($positions) `,` type($sequences)
      `,` type($page_table) `,` type($cache) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Odyssey_AttentionChunksOp : Odyssey_Op<"attention_chunks", [
    MemoryEffects<[MemRead]>]> {
  let summary = "attention over each chunk of the KV length for itself";
  let description = [{
    The first half of `odyssey.attention`, for steps of few tokens: for token m at
    position p, each head and each chunk c of 256 positions up to p / 256,
    `values[m, head, c]` are the sums of weights times values, and
    `stats[m, head, c]` the greatest score and the sum of the exponentials. Chunks
    behind p, and all chunks of a token at position -1, are not written.
    `splits` CTAs share the chunks of a token and KV head; it changes no bit of
    the result. `odyssey-split-attention` makes this operation.

    Example:

    ```mlir
    %v, %s = odyssey.attention_chunks %q at %positions, %sequences, %pages
        cache %kv layer %layer heads 8 scale = 0.35355339 splits 2
        : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>,
          memref<5x8x2x4x64x10xf16>
        -> tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>
    ```
  }];
  let arguments = (ins Odyssey_F16Matrix:$queries,
                       Odyssey_I32Vector:$positions,
                       Odyssey_I32Vector:$sequences,
                       Odyssey_I32Matrix:$page_table,
                       Arg<Odyssey_KvCache, "", [MemRead]>:$cache,
                       I32:$layer, I32Attr:$heads, F32Attr:$scale,
                       I32Attr:$splits);
  let results = (outs Odyssey_Chunks:$chunk_values, Odyssey_Chunks:$stats);
  let assemblyFormat = [{
    $queries `at` $positions `,` $sequences `,` $page_table `cache` $cache
      `layer` $layer `heads` custom<Plain>($heads)
      `scale` `=` custom<PlainF32>($scale) `splits` custom<Plain>($splits)
      attr-dict `:` type($queries) `,` type($positions) `,` type($sequences)
      `,` type($page_table) `,` type($cache) `->` type($chunk_values) `,`
      type($stats)
  }];
  let hasVerifier = 1;
}

def Odyssey_AttentionMergeOp : Odyssey_Op<"attention_merge", [Pure]> {
  let summary = "attention from its chunks";
  let description = [{
    The second half of `odyssey.attention`: merges the chunks up to each token's
    position in ascending order and divides by the sum. Both halves together are
    equal to `odyssey.attention`, bit for bit.

    Example:

    ```mlir
    %o = odyssey.attention_merge %v, %s at %positions
        : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<?xi32>
        -> tensor<?x64xf16>
    ```
  }];
  let arguments = (ins Odyssey_Chunks:$chunk_values, Odyssey_Chunks:$stats,
                       Odyssey_I32Vector:$positions);
  let results = (outs Odyssey_F16Matrix:$result);
  let assemblyFormat = [{
    $chunk_values `,` $stats `at` $positions attr-dict `:` type($chunk_values)
      `,` type($stats) `,` type($positions) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Odyssey_AttentionMergeQuantizeOp : Odyssey_Op<"attention_merge_quantize",
    [Pure]> {
  let summary = "attention from its chunks and quantization in one kernel";
  let description = [{
    Equal, bit for bit, to `odyssey.attention_merge` followed by
    `odyssey.quantize`.

    Example:

    ```mlir
    %q, %qs = odyssey.attention_merge_quantize %v, %s at %positions
        : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<?xi32>
        -> tensor<?x64xi8>, tensor<?xf32>
    ```
  }];
  let arguments = (ins Odyssey_Chunks:$chunk_values, Odyssey_Chunks:$stats,
                       Odyssey_I32Vector:$positions);
  let results = (outs Odyssey_I8Matrix:$values, Odyssey_F32Vector:$scales);
  let assemblyFormat = [{
    $chunk_values `,` $stats `at` $positions attr-dict `:` type($chunk_values)
      `,` type($stats) `,` type($positions) `->` type($values) `,` type($scales)
  }];
  let hasVerifier = 1;
}

def Odyssey_DecodeAttentionOp : Odyssey_Op<"decode_attention", [
    AttrSizedOperandSegments, MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "rotation, append and attention of decode in one kernel";
  let description = [{
    Equal, bit for bit, to `odyssey.rope_append` followed by
    `odyssey.attention` of the queries that it gives, in a step that has no two
    tokens of one sequence: a token's keys and values are appended by the same
    CTA that reads them. As in `odyssey.attention_chunks`, `splits` CTAs share
    the chunks of a token and KV head; the last of them that is done merges.
    `maxima[m, h]` is the greatest magnitude in row m of `result` among the heads
    of KV head h. `odyssey-fuse-decode-attention` makes this operation.

    Example:

    ```mlir
    %o, %max = odyssey.decode_attention %qkv table %t at %positions, %sequences, %pages
        cache %kv layer %layer heads 8 scale = 0.35355339 splits 2
        : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>,
          tensor<1x8xi32>, memref<5x8x2x4x64x10xf16>
        -> tensor<?x64xf16>, tensor<?x4xf32>
    ```
  }];
  let arguments = (ins Variadic<Odyssey_F16Matrix>:$inputs,
                       2DTensorOf<[F32]>:$table,
                       Odyssey_I32Vector:$positions,
                       Odyssey_I32Vector:$sequences,
                       Odyssey_I32Matrix:$page_table,
                       Arg<Odyssey_KvCache, "", [MemRead, MemWrite]>:$cache,
                       I32:$layer,
                       Optional<Odyssey_F16Vector>:$query_norm,
                       Optional<Odyssey_F16Vector>:$key_norm,
                       I32Attr:$heads, F32Attr:$scale, I32Attr:$splits,
                       OptionalAttr<F32Attr>:$epsilon);
  let results = (outs Odyssey_F16Matrix:$result, 2DTensorOf<[F32]>:$maxima);
  let assemblyFormat = [{
    $inputs `table` $table `at` $positions `,` $sequences `,` $page_table
      `cache` $cache `layer` $layer `heads` custom<Plain>($heads)
      `scale` `=` custom<PlainF32>($scale) `splits` custom<Plain>($splits)
      (`norm` $query_norm^ `,` $key_norm `epsilon` `=` custom<PlainF32>($epsilon))?
      attr-dict `:` `(` type($inputs) `)` `,` type($table) `,` type($positions)
      `,` type($sequences) `,` type($page_table) `,` type($cache)
      (`,` type($query_norm)^ `,` type($key_norm))? `->` type($result) `,`
      type($maxima)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The most heads that may share a KV head.
    static constexpr int64_t kMaxGroup = 16;
  }];
}

#endif // ODYSSEY_ATTENTION_OPS
