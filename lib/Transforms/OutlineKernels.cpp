//===- OutlineKernels.cpp - One kernel per distinct operation -------------===//

#include "odyssey/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/raw_ostream.h"

namespace odyssey {
#define GEN_PASS_DEF_OUTLINEKERNELS
#include "odyssey/Dialect/Passes/Transforms.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

/// What statistics call an operation; empty for what is no kernel.
StringRef kindOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case<graph::MatmulOp>([](auto) { return "matmul"; })
      .Case<graph::LinearOp>([](auto) { return "lm_head"; })
      .Case<graph::AttentionOp, graph::AttentionChunksOp,
            graph::AttentionMergeOp, graph::AttentionMergeQuantizeOp,
            graph::DecodeAttentionOp>([](auto) { return "attention"; })
      .Case<graph::RopeAppendOp>([](auto) { return "rope"; })
      .Case<graph::RmsNormOp, graph::RmsNormQuantizeOp>(
          [](auto) { return "norm"; })
      .Case<graph::SiluMulOp, graph::SiluMulQuantizeOp>(
          [](auto) { return "activation"; })
      .Case<graph::QuantizeOp>([](auto) { return "quantize"; })
      .Case<graph::EmbeddingOp, graph::StoreRowsOp, graph::GatherRowsOp>(
          [](auto) { return "embedding"; })
      .Case<graph::AddOp>([](auto) { return "add"; })
      .Case<graph::ArgmaxOp>([](auto) { return "sample"; })
      .Default([](Operation *) { return StringRef(); });
}

/// A readable name: the operation, the sizes that matter, the tokens of its
/// tile.
std::string nameOf(Operation *op) {
  std::string name = op->getName().stripDialect().str();
  auto add = [&](StringRef letter, int64_t value) {
    name += "_" + letter.str() + std::to_string(value);
  };
  auto addSchedule = [&](std::optional<fastgemm::ScheduleAttr> schedule) {
    if (schedule)
      add("t", schedule->getTokens());
  };
  if (auto matmul = dyn_cast<graph::MatmulOp>(op)) {
    name = "matmul_w" + std::to_string(matmul.getWeightFormat().bits) + "a8";
    add("n", matmul.getN());
    add("k", matmul.getK());
    if (matmul.getGroupSize())
      add("g", *matmul.getGroupSize());
    addSchedule(matmul.getSchedule());
    if (matmul.getSiluMul())
      name += "_silu";
  } else if (auto linear = dyn_cast<graph::LinearOp>(op)) {
    name = "matmul_f16";
    add("n", linear.getWeights().getType().getDimSize(0));
    add("k", linear.getWeights().getType().getDimSize(1));
    addSchedule(linear.getSchedule());
  } else if (auto attention = dyn_cast<graph::AttentionOp>(op)) {
    auto cache = cast<MemRefType>(attention.getCache().getType());
    add("h", attention.getHeads());
    add("kv", cache.getDimSize(3));
    add("d", graph::cacheHeadDim(cache));
    if (attention.getTileTokens())
      add("t", *attention.getTileTokens());
  } else if (auto chunks = dyn_cast<graph::AttentionChunksOp>(op)) {
    auto values = cast<ShapedType>(chunks.getChunkValues().getType());
    add("h", chunks.getHeads());
    add("kv", cast<ShapedType>(chunks.getCache().getType()).getDimSize(3));
    add("d", values.getDimSize(3));
    add("c", values.getDimSize(2));
  } else if (auto decode = dyn_cast<graph::DecodeAttentionOp>(op)) {
    auto cache = cast<MemRefType>(decode.getCache().getType());
    add("h", decode.getHeads());
    add("kv", cache.getDimSize(3));
    add("d", graph::cacheHeadDim(cache));
    add("s", decode.getSplits());
  } else if (auto rope = dyn_cast<graph::RopeAppendOp>(op)) {
    add("h", rope.getHeads());
  } else if (op->getNumResults() > 0) {
    auto type = cast<ShapedType>(op->getResult(0).getType());
    if (type.getRank() == 2)
      add("n", type.getDimSize(1));
    else
      add("n", cast<ShapedType>(op->getOperand(0).getType()).getDimSize(1));
  }
  return name;
}

/// The operation that belongs into the kernel of `op`, or null.
Operation *prologueOf(Operation *op) {
  return op->hasAttr(graph::kPrologueAttrName)
             ? cast<graph::MatmulOp>(op).getX().getDefiningOp()
             : nullptr;
}

bool isPrologue(Operation *op) {
  return llvm::any_of(op->getUsers(),
                      [&](Operation *user) { return prologueOf(user) == op; });
}

struct OutlineKernels : odyssey::impl::OutlineKernelsBase<OutlineKernels> {
  using OutlineKernelsBase::OutlineKernelsBase;

  void runOnOperation() override {
    SmallVector<Operation *> operations;
    for (auto function : getOperation().getOps<func::FuncOp>())
      function.walk([&](Operation *op) {
        if (!kindOf(op).empty() && !isPrologue(op))
          operations.push_back(op);
      });
    if (operations.empty())
      return;
    if (Operation *existing = SymbolTable::lookupSymbolIn(
            getOperation(), graph::kKernelModuleName)) {
      existing->emitOpError()
          << "has the name '" << graph::kKernelModuleName
          << "', which outlining gives to the module of kernels";
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    module = gpu::GPUModuleOp::create(builder, getOperation().getLoc(),
                                      graph::kKernelModuleName);
    symbols.emplace(module);
    for (Operation *op : operations)
      outline(op);
  }

  void outline(Operation *op) {
    Operation *prologue = prologueOf(op);
    SmallVector<Value> operands;
    if (prologue)
      operands = llvm::to_vector(prologue->getOperands());
    for (Value operand : op->getOperands())
      if (!prologue || operand.getDefiningOp() != prologue)
        operands.push_back(operand);
    graph::KernelOp kernel = findOrCreateKernel(op, prologue, operands);
    IRRewriter rewriter(op);
    auto callee = SymbolRefAttr::get(
        module.getNameAttr(), {FlatSymbolRefAttr::get(kernel.getNameAttr())});
    rewriter.replaceOpWithNewOp<graph::LaunchOp>(op, op->getResultTypes(),
                                                 callee, operands);
    if (prologue)
      rewriter.eraseOp(prologue);
    ++launches;
  }

  /// `operands` are those of the prologue, if there is one, then the other ones
  /// of `op`.
  graph::KernelOp findOrCreateKernel(Operation *op, Operation *prologue,
                                     ArrayRef<Value> operands) {
    // Equal text of names, attributes and types means an equal kernel.
    std::string key;
    llvm::raw_string_ostream stream(key);
    if (prologue)
      stream << prologue->getName() << prologue->getAttrDictionary();
    stream << op->getName() << op->getAttrDictionary()
           << FunctionType::get(&getContext(), TypeRange(ValueRange(operands)),
                                op->getResultTypes());
    graph::KernelOp &kernel = byKey[key];
    if (kernel)
      return kernel;
    ++kernels;
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    auto type = builder.getFunctionType(TypeRange(ValueRange(operands)),
                                        op->getResultTypes());
    kernel = graph::KernelOp::create(
        builder, op->getLoc(), nameOf(op), type, kindOf(op),
        /*arg_attrs=*/ArrayAttr(), /*res_attrs=*/ArrayAttr());
    if (dependentLaunch)
      kernel->setAttr(fastgemm::kDependentLaunchAttrName,
                      builder.getUnitAttr());
    symbols->insert(kernel); // makes the name unique
    Block *body = builder.createBlock(&kernel.getBody());
    for (Value operand : operands)
      body->addArgument(operand.getType(), op->getLoc());
    // An operand used twice is two parameters; the clones take them in order.
    ArrayRef<BlockArgument> parameters = body->getArguments();
    auto clone = [&](Operation *original, Operation *before) {
      IRMapping mapping;
      Operation *copy = builder.clone(*original, mapping);
      for (OpOperand &operand : copy->getOpOperands()) {
        auto made = dyn_cast<OpResult>(operand.get());
        if (before && made && made.getOwner() == prologue) {
          operand.set(before->getResult(made.getResultNumber()));
          continue;
        }
        operand.set(parameters.front());
        parameters = parameters.drop_front();
      }
      return copy;
    };
    Operation *before = prologue ? clone(prologue, nullptr) : nullptr;
    Operation *last = clone(op, before);
    graph::ReturnOp::create(builder, op->getLoc(), last->getResults());
    return kernel;
  }

  gpu::GPUModuleOp module;
  std::optional<SymbolTable> symbols;
  llvm::StringMap<graph::KernelOp> byKey;
};

} // namespace
