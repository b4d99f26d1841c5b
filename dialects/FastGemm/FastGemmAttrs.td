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
    | `stages` | stages | buffers of the copies' pipeline in shared memory, 2 to 8 |
    | `split_k` | CTAs | how many CTAs share one tile's sum over K, in equal parts |
    | `ctas` | CTAs | 0: a CTA for each tile; else so many, which take tile after tile |
    | `stream_k` | CTAs | 0, or how many CTAs share the sums of all tiles (stream-K): each takes an equal part of all stages of all tiles, wherever tiles begin and end |
    | `multicast` | CTAs | 1, or how many CTAs, of neighbouring channels and the same tokens, bring each other their activations: each a part of every stage's, which goes to all |

    Parts of a sum are exact 32-bit integers, so `split_k` and `stream_k` change
    no bit of the result. At most one of them is used. With `stream_k` there are
    fewer CTAs where else some would have no stage.

    The path `wgmma` has 1 to 3 consumer warpgroups of 128 channels each
    (`channel_warps` 4, 8 or 12, `token_warps` 1), which multiply tiles of 64
    channels by `tokens` tokens, one of the widths of `wgmma` up to 160, or 80 with
    3 warpgroups, in stages of `k` = 128; further warps issue the copies. There
    `split_k` is 1 to 8, the size of a cluster that shares a tile. `ctas` and
    `multicast` exist on that path only, without `split_k` and `stream_k`.
    `multicast` is 1 or 2, the size of a cluster, and divides `ctas`.

    Example:

    ```mlir
    #fastgemm.schedule<path = mma_sync, channels = 128, tokens = 16, k = 128,
                       channel_warps = 4, token_warps = 1, stages = 4>
    #fastgemm.schedule<path = wgmma, channels = 256, tokens = 128, k = 128,
                       channel_warps = 8, token_warps = 1, stages = 6, ctas = 132>
    #fastgemm.schedule<path = wgmma, channels = 128, tokens = 128, k = 128,
                       channel_warps = 4, token_warps = 1, stages = 6, stream_k = 128>
    #fastgemm.schedule<path = wgmma, channels = 256, tokens = 128, k = 128,
                       channel_warps = 8, token_warps = 1, stages = 6, ctas = 132,
                       multicast = 2>
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
    DefaultValuedParameter<"int64_t", "1">:$split_k,
    DefaultValuedParameter<"int64_t", "0">:$ctas,
    DefaultValuedParameter<"int64_t", "0">:$stream_k,
    DefaultValuedParameter<"int64_t", "1">:$multicast);
  let skipDefaultBuilders = 1;
  let builders = [AttrBuilder<(ins
    "Path":$path, "int64_t":$channels, "int64_t":$tokens, "int64_t":$k,
    "int64_t":$channel_warps, "int64_t":$token_warps, "int64_t":$stages,
    CArg<"int64_t", "1">:$split_k, CArg<"int64_t", "0">:$ctas,
    CArg<"int64_t", "0">:$stream_k, CArg<"int64_t", "1">:$multicast), [{
    return $_get($_ctxt, path, channels, tokens, k, channel_warps, token_warps,
                 stages, split_k, ctas, stream_k, multicast);
  }]>];
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Threads that multiply.
    int64_t getConsumerThreads() const {
      return getChannelWarps() * getTokenWarps() * 32;
    }
    /// Whether consumers take registers from the producer of a CTA. Registers
    /// move between whole warpgroups only, so that the producer is one then.
    bool movesRegisters() const {
      return getPath() == Path::Wgmma && getChannelWarps() > 4;
    }
    /// The widest tile of the path `wgmma`: beyond, accumulators and A fragments
    /// do not fit into the registers that a thread can have.
    static int64_t getMostTokens(int64_t channelWarps) {
      return channelWarps == 12 ? 80 : 160;
    }
    /// CTAs of a cluster.
    int64_t getClusterCtas() const {
      if (getPath() == Path::MmaSync)
        return 1;
      return getSplitK() * getMulticast();
    }
    /// Threads of a CTA.
    int64_t getThreads() const {
      if (getPath() == Path::MmaSync)
        return getConsumerThreads();
      return getConsumerThreads() + (movesRegisters() ? 128 : 32);
    }
    /// One stage's weights in bytes: `channels * k` of them.
    int64_t getWeightBytes(::odyssey::layout::WeightFormat weights) const {
      return weights.bytes(getChannels() * getK());
    }
    /// One stage's activations in bytes: `tokens * k` of 8 bits.
    int64_t getActivationBytes() const { return getTokens() * getK(); }
    /// Where the CTAs of a cluster that splits K meet: for each of them, its
    /// share of a tile of 32-bit sums, shares being whole groups of four
    /// channels of a token per thread.
    int64_t getExchangeBytes() const {
      if (getPath() == Path::MmaSync || getSplitK() == 1)
        return 0;
      int64_t quads = getTokens() / 4;
      int64_t share = (quads + getSplitK() - 1) / getSplitK();
      return getSplitK() * share * getConsumerThreads() * 16;
    }
    /// Where consumers of the path `wgmma` learn whether their CTA is the last
    /// one of a tile that several share.
    int64_t getMailboxBytes() const {
      return getPath() == Path::Wgmma && getStreamK() > 0 ? 16 : 0;
    }
    /// Input channels that a row of multipliers in a stage serves, for groups of
    /// `groupSize`: the group, or a step of 64 where stages begin inside groups.
    int64_t getMultiplierSpan(int64_t groupSize) const {
      return getK() % groupSize == 0 ? groupSize : 64;
    }
    /// One stage's multipliers of 4 bits, in bytes; none for a group size of 0.
    int64_t getMultiplierBytes(int64_t groupSize) const {
      if (groupSize == 0)
        return 0;
      return getK() / getMultiplierSpan(groupSize) * getChannels() / 2;
    }
    /// Shared memory of a CTA in bytes: its stages, with weights, the multipliers
    /// of their groups and activations, and, on the path `wgmma`, the exchange,
    /// two barriers of 8 bytes for each stage and the mailbox.
    int64_t getSharedBytes(::odyssey::layout::WeightFormat weights) const {
      int64_t stage = getWeightBytes(weights) + getActivationBytes() +
                      getMultiplierBytes(weights.groupSize);
      int64_t bytes =
          getStages() * stage + getExchangeBytes() + getMailboxBytes();
      return getPath() == Path::MmaSync ? bytes : bytes + 16 * getStages();
    }
    /// Registers of 32 bits that one thread's accumulators take.
    int64_t getAccumulatorRegisters() const {
      return getChannels() * getTokens() / getConsumerThreads();
    }
  }];
}

def FastGemm_PackedAttr : FastGemm_Attr<"Packed", "packed",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "Integer weights in the order in which a warp's lanes read them";
  let description = [{
    The encoding of a tensor of weights `[N, K]` of 4 or 8 bits whose bytes are
    stored as blocks of 16 channels x 64 input channels, which are pieces of 512
    bytes, each lane's 16 bytes together. Of 4 bits, a block is one piece; of 8
    bits, two, one for each 32 input channels. Blocks are ordered in panels of
    `channels` output channels: for a panel, all K in steps of 64, and within a
    step the panel's blocks. N is padded with zeros to a multiple of `channels`, K
    to a multiple of 64.

    Inside 32 channels the order is `quad`: row `g + 8p` of the i-th block of a
    pair (i, p in {0, 1}) holds channel `4g + 2i + p`, so that a lane's
    accumulators are four adjacent channels of a token. See `docs/numerics.md` and
    `lib/Layout` for the exact positions.

    A nibble holds the weight plus `offset`, modulo 16: 0 is two's complement,
    which is unpacked as 16 times the weight, 8 makes the nibbles unsigned, which
    is what weights with group multipliers need. Weights of 8 bits stand as they
    are, with offset 0: a lane's 16 bytes are an A fragment, with nothing to
    unpack.

    Example:

    ```mlir
    tensor<192x64xi4, #fastgemm.packed<channels = 64>>
    tensor<192x64xi8, #fastgemm.packed<channels = 64>>
    tensor<192x64xi4, #fastgemm.packed<channels = 64, offset = 8>>
    ```
  }];
  let parameters = (ins "int64_t":$channels,
                        DefaultValuedParameter<"int64_t", "0">:$offset);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def FastGemm_MultipliersAttr : FastGemm_Attr<"Multipliers", "multipliers",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "Group multipliers in the order in which a warp's lanes read them";
  let description = [{
    The encoding of a tensor of group multipliers `[N, groups]`, values 0 to 15,
    of weights packed in panels of as many `channels`: 4 bits each, for a panel
    all groups of `group` input channels, and within a group the panel's channels.
    N is padded with zeros to a multiple of `channels`, the groups to whole steps
    of 64 input channels. The four adjacent channels whose weights a lane holds
    are the four nibbles of 16 bits.

    Example:

    ```mlir
    tensor<192x3xi8, #fastgemm.multipliers<channels = 64, group = 64>>
    ```
  }];
  let parameters = (ins "int64_t":$channels, "int64_t":$group);
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

def FastGemm_SwizzledAttr : FastGemm_Attr<"Swizzled", "swizzled",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "8-bit activations in the order in which wgmma reads them";
  let description = [{
    The encoding of a tensor of 8-bit activations `[M, K]` in tiles of `tokens`
    tokens x 128 input channels, each of `tokens * 128` bytes together, which one
    bulk copy moves to shared memory. Tiles of one group of tokens follow each
    other along K. M is padded to a multiple of `tokens` and K to one of 128; the
    padding is zero. In a tile, token r is row r of 128 bytes, and its 16-byte
    piece c stands at c ^ (r mod 8): the 128-byte swizzle of a tile that begins
    at a multiple of 1024 bytes (PTX ISA, "Asynchronous warpgroup-level matrix
    shared memory layout").

    Example:

    ```mlir
    tensor<?x4096xi8, #fastgemm.swizzled<tokens = 128>>
    ```
  }];
  let parameters = (ins "int64_t":$tokens);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Input channels of a tile.
    static constexpr int64_t kTileK = 128;
    /// Tiles along K, for `k` input channels.
    static int64_t getTilesAlongK(int64_t k) {
      return (k + kTileK - 1) / kTileK;
    }
    /// Bytes of `m` tokens of `k` input channels, padding included.
    int64_t getBytes(int64_t m, int64_t k) const {
      int64_t rows = (m + getTokens() - 1) / getTokens() * getTokens();
      return rows * getTilesAlongK(k) * kTileK;
    }
  }];
}

def FastGemm_LaunchAttr : FastGemm_Attr<"Launch", "launch"> {
  let summary = "The launch configuration of a lowered kernel";
  let description = [{
    Stands on a `gpu.func` as `fastgemm.launch`. Per grid dimension i there are
    `grid[i] * ceil(M / per_tokens[i])` CTAs, or `grid[i]` where `per_tokens[i]`
    is 0. `block` counts threads, `shared_bytes` dynamic shared memory in bytes.
    With `cluster`, so many neighbouring CTAs of dimension 0 form a cluster.

    A kernel whose CTAs work together has two more parameters behind M, in this
    order: the address of `scratch_bytes` of device memory per CTA, which hold
    nothing before and after the launch; and, where `counters` is set, the
    address of one 32-bit counter per CTA. All counters are 0 when the kernel
    begins, and the kernel leaves them 0.

    Example:

    ```mlir
    #fastgemm.launch<grid = [3, 1, 1], per_tokens = [0, 16, 0], block = 128,
                     shared_bytes = 24576>
    #fastgemm.launch<grid = [128, 1, 1], per_tokens = [0, 8, 0], block = 160,
                     shared_bytes = 59488, cluster = 4>
    #fastgemm.launch<grid = [3, 1, 4], per_tokens = [0, 8, 0], block = 64,
                     shared_bytes = 24576, scratch_bytes = 2048, counters = true>
    ```
  }];
  let parameters = (ins
    ArrayRefParameter<"int64_t">:$grid,
    ArrayRefParameter<"int64_t">:$per_tokens,
    "int64_t":$block,
    "int64_t":$shared_bytes,
    DefaultValuedParameter<"int64_t", "1">:$cluster,
    DefaultValuedParameter<"int64_t", "0">:$scratch_bytes,
    DefaultValuedParameter<"bool", "false">:$counters);
  let assemblyFormat = [{
    `<` `grid` `=` `[` $grid `]` `,` `per_tokens` `=` `[` $per_tokens `]` `,`
    `block` `=` $block `,`
    custom<LaunchMemory>($shared_bytes, $cluster, $scratch_bytes, $counters) `>`
  }];
  let genVerifyDecl = 1;
}

#endif // FASTGEMM_ATTRS
