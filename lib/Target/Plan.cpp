//===- Plan.cpp - From launches in IR to plan.json ------------------------===//

#include "odyssey/Target/Plan.h"

#include "odyssey/Dialect/Odyssey/Odyssey.h"
#include "odyssey/runtime/BundleFormat.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace odyssey;
namespace json = llvm::json;

std::string odyssey::ptxSectionName(int64_t kernel) {
  return "kernel." + std::to_string(kernel) + ".ptx";
}

std::string odyssey::cubinSectionName(int64_t kernel) {
  return "kernel." + std::to_string(kernel) + ".cubin";
}

namespace {

constexpr int64_t kBufferAlignment = 256;

llvm::Error fail(const Twine &message) {
  return llvm::createStringError(message);
}

/// Temporaries of one bucket packed into one allocation: an address is given to
/// a buffer when it is made and free for others after its last use.
class WorkspacePlanner {
public:
  int64_t allocate(int64_t bytes) {
    bytes =
        (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
    // First gap that is large enough; `live` is sorted by offset.
    int64_t offset = 0;
    auto at = live.begin();
    for (; at != live.end(); ++at) {
      if (at->offset - offset >= bytes)
        break;
      offset = at->offset + at->bytes;
    }
    live.insert(at, {offset, bytes});
    total = std::max(total, offset + bytes);
    return offset;
  }
  void release(int64_t offset) {
    llvm::erase_if(live, [&](const Block &b) { return b.offset == offset; });
  }
  int64_t totalBytes() const { return total; }

private:
  struct Block {
    int64_t offset, bytes;
  };
  SmallVector<Block> live;
  int64_t total = 0;
};

class PlanBuilder {
public:
  PlanBuilder(ModuleOp module, const PlanContext &context)
      : module(module), context(context), symbols(module) {}

  llvm::Expected<Plan> build();

private:
  llvm::Error addKernels();
  llvm::Error addBucket(func::FuncOp function);
  llvm::Error addSignature(func::FuncOp function, json::Object &entry);
  llvm::Expected<json::Value>
  argument(Value value, func::FuncOp function,
           const llvm::DenseMap<Value, int64_t> &offsets);
  void addProduct(graph::KernelOp kernel, json::Object &entry);
  int64_t constantIndex(Operation *op);
  int64_t stateIndex(StringRef name, MemRefType type);

  static std::string argumentName(func::FuncOp function, unsigned i);
  static std::string typeName(Type element);
  static json::Array shapeOf(ShapedType type);
  static int64_t bytesOf(Value value, int64_t tokens);
  static int64_t ctasOf(fastgemm::LaunchAttr launch, int64_t tokens);

  ModuleOp module;
  const PlanContext &context;
  SymbolTableCollection tables;
  SymbolTable symbols;

  struct Function {
    json::Object entry;
    json::Array buckets;
  };
  llvm::MapVector<StringRef, Function> functions;
  llvm::StringMap<int64_t> kernelIndex;
  json::Array modules, kernels, states;
  llvm::StringMap<int64_t> stateOfName;
  llvm::StringMap<int64_t> constantOfKey;
  std::vector<BundleConstant> constants;
};

std::string PlanBuilder::typeName(Type element) {
  if (element.isF16())
    return "f16";
  if (element.isF32())
    return "f32";
  if (element.isBF16())
    return "bf16";
  return element.isInteger(32) ? "i32" : "i8";
}

json::Array PlanBuilder::shapeOf(ShapedType type) {
  json::Array shape;
  for (int64_t size : type.getShape()) {
    if (ShapedType::isDynamic(size))
      shape.push_back("tokens");
    else
      shape.push_back(size);
  }
  return shape;
}

std::string PlanBuilder::argumentName(func::FuncOp function, unsigned i) {
  if (auto name =
          function.getArgAttrOfType<StringAttr>(i, graph::kNameAttrName))
    return name.str();
  return "arg" + std::to_string(i);
}

/// The most tokens of a call.
static int64_t bucketOf(func::FuncOp function) {
  return function->getAttrOfType<IntegerAttr>(graph::kBucketAttrName).getInt();
}

/// Bytes of a buffer that holds up to `tokens` rows.
int64_t PlanBuilder::bytesOf(Value value, int64_t tokens) {
  auto type = cast<RankedTensorType>(value.getType());
  int64_t elements = 1;
  for (int64_t size : type.getShape())
    elements *= ShapedType::isDynamic(size) ? tokens : size;
  if (auto rows = dyn_cast_or_null<fastgemm::RowsAttr>(type.getEncoding()))
    return elements / type.getDimSize(1) * rows.getStride();
  if (auto swizzled =
          dyn_cast_or_null<fastgemm::SwizzledAttr>(type.getEncoding()))
    return swizzled.getBytes(elements / type.getDimSize(1), type.getDimSize(1));
  return elements * type.getElementTypeBitWidth() / 8;
}

/// CTAs of a launch with `tokens` tokens.
int64_t PlanBuilder::ctasOf(fastgemm::LaunchAttr launch, int64_t tokens) {
  int64_t ctas = 1;
  for (auto [a, d] : llvm::zip(launch.getGrid(), launch.getPerTokens()))
    ctas *= d == 0 ? a : a * ((tokens + d - 1) / d);
  return ctas;
}

llvm::Error PlanBuilder::addKernels() {
  auto kernelModule =
      module.lookupSymbol<gpu::GPUModuleOp>(graph::kKernelModuleName);
  if (!kernelModule)
    return fail("the module has no functions that compute");
  for (auto kernel : kernelModule.getOps<graph::KernelOp>()) {
    auto launch =
        kernel->getAttrOfType<fastgemm::LaunchAttr>(fastgemm::kLaunchAttrName);
    if (!launch)
      return fail("kernel '" + kernel.getName() + "' has not been compiled");
    int64_t index = kernels.size();
    kernelIndex[kernel.getName()] = index;
    json::Object image{{"name", kernel.getName()},
                       {"ptx", ptxSectionName(index)}};
    if (context.cubinCapability != 0) {
      image["cubin"] = cubinSectionName(index);
      image["cubin_capability"] = context.cubinCapability;
    }
    modules.push_back(std::move(image));
    json::Object entry{{"name", kernel.getName()},
                       {"module", index},
                       {"kind", kernel.getKind()},
                       {"block", json::Array{launch.getBlock(), 1, 1}},
                       {"shared_bytes", launch.getSharedBytes()}};
    if (launch.getCluster() > 1)
      entry["cluster"] = json::Array{launch.getCluster(), 1, 1};
    if (kernel->hasAttr(fastgemm::kDependentLaunchAttrName))
      entry["programmatic_dependent_launch"] = true;
    addProduct(kernel, entry);
    kernels.push_back(std::move(entry));
  }
  return llvm::Error::success();
}

/// How a product quantizes its token itself, as JSON; nothing where it does so
/// in a way that programs of their own cannot ask for.
static std::optional<json::Object> prologueOf(Operation *producer) {
  Value statistics;
  json::Object prologue;
  if (auto quantize = dyn_cast<graph::QuantizeOp>(producer)) {
    prologue["kind"] = "quantize";
    statistics = quantize.getMaxima();
  } else if (auto norm = dyn_cast<graph::RmsNormQuantizeOp>(producer)) {
    prologue["kind"] = "rms_norm";
    prologue["epsilon"] = norm.getEpsilon().convertToFloat();
    statistics = norm.getStatistics();
  } else {
    return std::nullopt;
  }
  if (statistics)
    prologue["statistics"] =
        cast<ShapedType>(statistics.getType()).getDimSize(1);
  return prologue;
}

/// What the parameters of a kernel are that computes `matmul` and, if it is not
/// null, `producer` in front of it: operands, then results.
static json::Array operandNames(graph::KernelOp kernel, graph::MatmulOp matmul,
                                Operation *producer) {
  std::vector<StringRef> names(kernel.getArgumentTypes().size());
  auto name = [&](Value operand, StringRef text) {
    if (auto parameter = dyn_cast_or_null<BlockArgument>(operand))
      names[parameter.getArgNumber()] = text;
  };
  if (auto quantize = dyn_cast_or_null<graph::QuantizeOp>(producer)) {
    name(quantize.getX(), "x_half");
    name(quantize.getMaxima(), "x_statistics");
  } else if (auto norm = dyn_cast_or_null<graph::RmsNormQuantizeOp>(producer)) {
    name(norm.getX(), "x_half");
    name(norm.getWeight(), "x_norm");
    name(norm.getStatistics(), "x_statistics");
  }
  name(matmul.getX(), "x");
  name(matmul.getXScales(), "x_scales");
  name(matmul.getWeights(), "weights");
  name(matmul.getWeightScales(), "weight_scales");
  name(matmul.getBias(), "bias");
  name(matmul.getResidual(), "residual");
  name(matmul.getMultipliers(), "multipliers");
  name(matmul.getNorm(), "norm");
  json::Array operands;
  for (StringRef text : names)
    operands.push_back(text);
  operands.push_back("result");
  if (matmul.getMaxima())
    operands.push_back("maxima");
  return operands;
}

/// Describes the integer product that `kernel` computes, for programs that run
/// the kernel with operands of their own (odyssey-bench).
void PlanBuilder::addProduct(graph::KernelOp kernel, json::Object &entry) {
  auto matmuls = kernel.getBody().getOps<graph::MatmulOp>();
  if (matmuls.empty())
    return;
  graph::MatmulOp matmul = *matmuls.begin();
  auto packed = dyn_cast_or_null<fastgemm::PackedAttr>(
      matmul.getWeights().getType().getEncoding());
  if (!packed)
    return;
  json::Object product;
  Operation *producer = matmul.getX().getDefiningOp();
  if (producer) {
    std::optional<json::Object> prologue = prologueOf(producer);
    if (!prologue)
      return;
    product["prologue"] = std::move(*prologue);
  }
  Attribute encoding = matmul.getX().getType().getEncoding();
  auto rows = dyn_cast_or_null<fastgemm::RowsAttr>(encoding);
  product["n"] = matmul.getN();
  product["k"] = matmul.getK();
  product["weight_bits"] = matmul.getWeightFormat().bits;
  product["panel_channels"] = packed.getChannels();
  product["row_bytes"] = rows ? rows.getStride() : matmul.getK();
  product["operands"] = operandNames(kernel, matmul, producer);
  if (auto swizzled = dyn_cast_or_null<fastgemm::SwizzledAttr>(encoding))
    product["swizzled_tokens"] = swizzled.getTokens();
  if (matmul.getGroupSize())
    product["group_size"] = matmul.getGroupSizeOrZero();
  // Of gate and up, interleaved, one element of the result.
  if (matmul.getSiluMul())
    product["activation"] = "silu_mul";
  if (matmul.getMaxima())
    product["maxima"] = matmul.getMaximaColumns() * (matmul.getNorm() ? 2 : 1);
  entry["product"] = std::move(product);
}

int64_t PlanBuilder::constantIndex(Operation *op) {
  BundleConstant constant = describeConstant(op);
  // The same tensors in another layout are another constant.
  std::string key;
  llvm::raw_string_ostream stream(key);
  stream << constant.name << ':' << op->getResult(0).getType()
         << op->getAttrDictionary();
  auto [at, isNew] = constantOfKey.try_emplace(key, constants.size());
  if (isNew) {
    for (const BundleConstant &other : constants)
      if (other.name == constant.name) {
        constant.name += "#" + std::to_string(constants.size());
        break;
      }
    constants.push_back(std::move(constant));
  }
  return at->second;
}

int64_t PlanBuilder::stateIndex(StringRef name, MemRefType type) {
  auto [at, isNew] = stateOfName.try_emplace(name, states.size());
  if (isNew)
    states.push_back(json::Object{{"name", name.str()},
                                  {"type", typeName(type.getElementType())},
                                  {"shape", shapeOf(type)}});
  return at->second;
}

llvm::Error PlanBuilder::addSignature(func::FuncOp function,
                                      json::Object &entry) {
  json::Array inputs, outputs, stateNames;
  for (BlockArgument argument : function.getArguments()) {
    std::string name = argumentName(function, argument.getArgNumber());
    if (auto memref = dyn_cast<MemRefType>(argument.getType())) {
      stateIndex(name, memref);
      stateNames.push_back(name);
      continue;
    }
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type)
      return fail("function '" + function.getName() + "': argument '" + name +
                  "' is neither a tensor nor a memref");
    // What is not in plain layout is so many bytes, for this bucket's tokens.
    inputs.push_back(json::Object{
        {"name", name},
        {"type", typeName(type.getElementType())},
        {"shape", type.getEncoding()
                      ? json::Array{bytesOf(argument, bucketOf(function))}
                      : shapeOf(type)}});
  }
  for (auto [i, type] : llvm::enumerate(function.getResultTypes())) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || tensor.getEncoding())
      return fail("function '" + function.getName() + "': result " + Twine(i) +
                  " is no tensor in plain layout");
    auto name =
        function.getResultAttrOfType<StringAttr>(i, graph::kNameAttrName);
    outputs.push_back(
        json::Object{{"name", name ? name.str() : "out" + std::to_string(i)},
                     {"type", typeName(tensor.getElementType())},
                     {"shape", shapeOf(tensor)}});
  }
  entry["inputs"] = std::move(inputs);
  entry["outputs"] = std::move(outputs);
  entry["states"] = std::move(stateNames);
  return llvm::Error::success();
}

llvm::Expected<json::Value>
PlanBuilder::argument(Value value, func::FuncOp function,
                      const llvm::DenseMap<Value, int64_t> &offsets) {
  APInt scalar;
  if (matchPattern(value, m_ConstantInt(&scalar)))
    return json::Object{{"i32", scalar.getSExtValue()}};
  if (Operation *op = value.getDefiningOp();
      isa_and_nonnull<graph::WeightOp, graph::RopeTableOp>(op))
    return json::Object{{"weight", constantIndex(op)}};
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    int64_t inputs = 0, states = 0;
    for (BlockArgument other : function.getArguments()) {
      bool isState = isa<MemRefType>(other.getType());
      if (other == argument)
        return isState ? json::Object{{"state", states}}
                       : json::Object{{"input", inputs}};
      ++(isState ? states : inputs);
    }
  }
  auto terminator =
      cast<func::ReturnOp>(function.getBody().front().getTerminator());
  for (auto [i, result] : llvm::enumerate(terminator.getOperands()))
    if (result == value)
      return json::Object{{"output", static_cast<int64_t>(i)}};
  auto at = offsets.find(value);
  if (at == offsets.end())
    return fail("function '" + function.getName() +
                "' uses a value that no kernel makes");
  return json::Object{{"workspace", at->second}};
}

llvm::Error PlanBuilder::addBucket(func::FuncOp function) {
  auto original = function->getAttrOfType<StringAttr>(graph::kFunctionAttrName);
  auto bucket = function->getAttrOfType<IntegerAttr>(graph::kBucketAttrName);
  if (!original || !bucket)
    return fail("function '" + function.getName() +
                "' has not been scheduled (run odyssey-schedule)");
  if (!llvm::hasSingleElement(function.getBody()))
    return fail("function '" + function.getName() + "' has control flow");
  Function &entry = functions[original.getValue()];
  if (entry.buckets.empty()) {
    entry.entry["name"] = original.getValue();
    if (llvm::Error error = addSignature(function, entry.entry))
      return error;
  } else if (llvm::any_of(function.getArgumentTypes(), [](Type type) {
               auto tensor = dyn_cast<RankedTensorType>(type);
               return tensor && tensor.getEncoding();
             })) {
    return fail("function '" + function.getName() +
                "' has several buckets and an argument that is no tensor in "
                "plain layout");
  }

  auto terminator =
      cast<func::ReturnOp>(function.getBody().front().getTerminator());
  llvm::SmallPtrSet<Value, 4> returned;
  for (Value value : terminator.getOperands())
    if (!value.getDefiningOp<graph::LaunchOp>() ||
        !returned.insert(value).second)
      return fail("function '" + function.getName() +
                  "' returns a value that no kernel makes for it alone");

  WorkspacePlanner workspace;
  int64_t counterBytes = 0;
  llvm::DenseMap<Value, int64_t> offsets;
  json::Array steps;
  for (Operation &op : function.getBody().front().without_terminator()) {
    if (isa<graph::WeightOp, graph::RopeTableOp>(op) ||
        op.hasTrait<OpTrait::ConstantLike>())
      continue;
    auto launch = dyn_cast<graph::LaunchOp>(op);
    if (!launch)
      return fail("function '" + function.getName() + "' has the operation '" +
                  op.getName().getStringRef() + "', which is no kernel");
    auto kernel = dyn_cast_or_null<graph::KernelOp>(
        tables.lookupNearestSymbolFrom(launch, launch.getKernel()));
    if (!kernel)
      return fail("function '" + function.getName() +
                  "' launches what is no kernel of the graph");

    for (Value result : launch.getResults())
      if (!returned.contains(result))
        offsets[result] = workspace.allocate(bytesOf(result, bucket.getInt()));
    json::Array arguments;
    for (Value value : launch->getOperands()) {
      auto json = argument(value, function, offsets);
      if (!json)
        return json.takeError();
      arguments.push_back(std::move(*json));
    }
    for (Value value : launch->getResults()) {
      auto json = argument(value, function, offsets);
      if (!json)
        return json.takeError();
      arguments.push_back(std::move(*json));
    }
    // Without a dynamic size M is a constant in the kernel, which ignores this.
    if (bucket.getInt() == 0)
      arguments.push_back(json::Object{{"i32", 0}});
    else
      arguments.push_back(json::Object{{"tokens", true}});

    auto config =
        kernel->getAttrOfType<fastgemm::LaunchAttr>(fastgemm::kLaunchAttrName);
    int64_t ctas = ctasOf(config, bucket.getInt());
    if (config.getScratchBytes() > 0) {
      int64_t scratch = workspace.allocate(ctas * config.getScratchBytes());
      arguments.push_back(json::Object{{"workspace", scratch}});
      workspace.release(scratch);
    }
    if (config.getCounters()) {
      // Every launch leaves them 0, so all may have the same ones.
      arguments.push_back(json::Object{{"counters", 0}});
      counterBytes = std::max<int64_t>(counterBytes, 4 * ctas);
    }
    json::Array grid;
    for (auto [a, d] : llvm::zip(config.getGrid(), config.getPerTokens()))
      grid.push_back(json::Array{a, d});
    steps.push_back(json::Object{{"kernel", kernelIndex[kernel.getName()]},
                                 {"grid", std::move(grid)},
                                 {"arguments", std::move(arguments)}});

    // Give back what is used here for the last time, results included.
    auto releaseIfDead = [&](Value value) {
      auto at = offsets.find(value);
      if (at == offsets.end())
        return;
      for (Operation *user : value.getUsers())
        if (launch->isBeforeInBlock(user))
          return;
      workspace.release(at->second);
    };
    llvm::SmallPtrSet<Value, 8> seen;
    for (Value value : launch->getOperands())
      if (seen.insert(value).second)
        releaseIfDead(value);
    for (Value value : launch->getResults())
      releaseIfDead(value);
  }
  json::Object bucketEntry{{"tokens", bucket.getInt()},
                           {"workspace_bytes", workspace.totalBytes()},
                           {"steps", std::move(steps)}};
  if (counterBytes > 0)
    bucketEntry["counter_bytes"] = counterBytes;
  entry.buckets.push_back(std::move(bucketEntry));
  return llvm::Error::success();
}

llvm::Expected<Plan> PlanBuilder::build() {
  if (llvm::Error error = addKernels())
    return error;
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isDeclaration())
      if (llvm::Error error = addBucket(function))
        return error;

  json::Array functionArray, weightArray;
  for (auto &[name, function] : functions) {
    function.entry["buckets"] = std::move(function.buckets);
    functionArray.push_back(std::move(function.entry));
  }
  for (const BundleConstant &constant : constants)
    weightArray.push_back(json::Object{{"name", constant.name},
                                       {"type", constant.type},
                                       {"shape", json::Array(constant.shape)}});
  json::Object root{{"format", bundle::kPlanFormat},
                    {"producer", "odyssey 0.1.0"},
                    {"target", context.target},
                    {"modules", std::move(modules)},
                    {"kernels", std::move(kernels)},
                    {"weights", std::move(weightArray)},
                    {"functions", std::move(functionArray)},
                    {"states", std::move(states)}};
  if (context.model)
    root["model"] = *context.model;
  Plan plan;
  plan.json = std::move(root);
  plan.constants = std::move(constants);
  return plan;
}

} // namespace

llvm::Expected<Plan> odyssey::buildPlan(ModuleOp module,
                                        const PlanContext &context) {
  return PlanBuilder(module, context).build();
}
