//===- FastGemmAttrs.td - Schedules and layouts -----------------*- tablegen -*-===//

#ifndef FASTGEMM_ATTRS
#define FASTGEMM_ATTRS

include "FastGemm/FastGemmBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/TensorEncoding.td"
include "mlir/IR/EnumAttr.td"

class FastGemm_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<FastGemm_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def FastGemm_Path : I32EnumAttr<"Path", "the inner loop of a product", [
    I32EnumAttrCase<"MmaSync", 0, "mma_sync">,
    I32EnumAttrCase<"Wgmma", 1, "wgmma">]> {
  let cppNamespace = "::odyssey::fastgemm";
  let genSpecializedAttr = 0;
}

def FastGemm_PathParameter : EnumParameter<FastGemm_Path>;

def FastGemm_ScheduleAttr : FastGemm_Attr<"Schedule", "schedule"> {
  let summary = "How one product is cut into tiles, warps and stages";
  let description = [{
    Every constant of a product's kernel: the lowering derives the rest.

    | parameter | unit | meaning |
    |---|---|---|
    | `path` | | `mma_sync` (sm_80 and up) or `wgmma` (sm_90a) |
    | `channels` | output channels | height of a CTA's tile, a multiple of 32 x `channel_warps` |
    | `tokens` | tokens | width of a CTA's tile, a multiple of 8 x `token_warps` |
    | `k` | input channels | depth of one stage, a multiple of 64 |
    | `channel_warps`, `token_warps` | warps | how a CTA's warps divide its tile |
    | `stages` | stages | buffers of the `cp.async` pipeline in shared memory, 2 to 8 |
    | `split_k` | CTAs | how many CTAs share one tile's sum over K |

    Example:

    ```mlir
    #fastgemm.schedule<path = mma_sync, channels = 128, tokens = 16, k = 128,
                       channel_warps = 4, token_warps = 1, stages = 4>
    ```
  }];
  let parameters = (ins
    FastGemm_PathParameter:$path,
    "int64_t":$channels,
    "int64_t":$tokens,
    "int64_t":$k,
    "int64_t":$channel_warps,
    "int64_t":$token_warps,
    "int64_t":$stages,
    DefaultValuedParameter<"int64_t", "1">:$split_k);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Threads of a CTA.
    int64_t getThreads() const {
      return getChannelWarps() * getTokenWarps() * 32;
    }
    /// Shared memory of the pipeline's stages, in bytes: `channels * k` weights
    /// of 4 bits and `tokens * k` activations of 8 bits each.
    int64_t getSharedBytes() const {
      return getStages() * (getChannels() * getK() / 2 + getTokens() * getK());
    }
    /// Registers of 32 bits that one thread's accumulators take.
    int64_t getAccumulatorRegisters() const {
      return getChannels() * getTokens() / getThreads();
    }
  }];
}

def FastGemm_PackedAttr : FastGemm_Attr<"Packed", "packed",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "4-bit weights in the order in which a warp's lanes read them";
  let description = [{
    The encoding of a tensor of 4-bit weights `[N, K]` whose bytes are stored as
    blocks of 16 channels x 64 input channels = 512 bytes, each lane's 16 bytes
    together. Blocks are ordered in panels of `channels` output channels: for a
    panel, all K in steps of 64, and within a step the panel's blocks. N is
    padded with zeros to a multiple of `channels`, K to a multiple of 64.

    Inside 32 channels the order is `quad`: row `g + 8p` of the i-th block of a
    pair (i, p in {0, 1}) holds channel `4g + 2i + p`, so that a lane's
    accumulators are four adjacent channels of a token. See `docs/numerics.md` and
    `lib/Layout` for the exact positions.

    Example:

    ```mlir
    tensor<192x64xi4, #fastgemm.packed<channels = 64>>
    ```
  }];
  let parameters = (ins "int64_t":$channels);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def FastGemm_RowsAttr : FastGemm_Attr<"Rows", "rows",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "Rows of 8-bit activations, padded with zeros";
  let description = [{
    The encoding of a tensor of 8-bit activations `[M, K]` whose rows are
    `stride` bytes apart (a multiple of 64, at least K); the bytes behind K are
    zero.

    Example:

    ```mlir
    tensor<?x172xi8, #fastgemm.rows<stride = 192>>
    ```
  }];
  let parameters = (ins "int64_t":$stride);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def FastGemm_LaunchAttr : FastGemm_Attr<"Launch", "launch"> {
  let summary = "The launch configuration of a lowered kernel";
  let description = [{
    Stands on a `gpu.func` as `fastgemm.launch`. Per grid dimension i there are
    `grid[i] * ceil(M / per_tokens[i])` CTAs, or `grid[i]` where `per_tokens[i]`
    is 0. `block` counts threads, `shared_bytes` dynamic shared memory in bytes.

    Example:

    ```mlir
    #fastgemm.launch<grid = [3, 1, 1], per_tokens = [0, 16, 0], block = 128,
                     shared_bytes = 24576>
    ```
  }];
  let parameters = (ins
    ArrayRefParameter<"int64_t">:$grid,
    ArrayRefParameter<"int64_t">:$per_tokens,
    "int64_t":$block,
    "int64_t":$shared_bytes);
  let assemblyFormat = [{
    `<` `grid` `=` `[` $grid `]` `,` `per_tokens` `=` `[` $per_tokens `]` `,`
    `block` `=` $block `,` `shared_bytes` `=` $shared_bytes `>`
  }];
  let genVerifyDecl = 1;
}

#endif // FASTGEMM_ATTRS
