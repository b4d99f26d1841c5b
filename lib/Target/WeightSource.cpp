//===- WeightSource.cpp - The bytes behind odyssey.weight -----------------===//

#include "odyssey/Target/WeightSource.h"

#include "odyssey/Dialect/Odyssey/Odyssey.h"
#include "odyssey/Frontend/Checkpoint/TensorSource.h"
#include "odyssey/Layout/InterleavedRows.h"
#include "odyssey/Layout/PackedMultipliers.h"

#include "llvm/ADT/StringExtras.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace odyssey;

static llvm::Error fail(const Twine &message) {
  return llvm::createStringError(message);
}

//===----------------------------------------------------------------------===//
// Description
//===----------------------------------------------------------------------===//

static std::string constantName(Operation *op) {
  if (auto weight = dyn_cast<graph::WeightOp>(op)) {
    std::string name;
    for (auto part : weight.getNames().getAsRange<StringAttr>())
      name += (name.empty() ? "" : "+") + part.getValue().str();
    return name;
  }
  auto shape = cast<ShapedType>(op->getResult(0).getType()).getShape();
  return ("rope_table." + Twine(shape[0]) + "x" + Twine(shape[1])).str();
}

static layout::PackedWeights packedLayout(RankedTensorType type,
                                          fastgemm::PackedAttr packed) {
  return {type.getDimSize(0), type.getDimSize(1), packed.getChannels(),
          packed.getOffset(), type.getElementTypeBitWidth()};
}

BundleConstant odyssey::describeConstant(Operation *op) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  BundleConstant constant;
  constant.name = constantName(op);
  constant.op = op;
  if (auto packed =
          dyn_cast_or_null<fastgemm::PackedAttr>(type.getEncoding())) {
    layout::PackedWeights layout = packedLayout(type, packed);
    constant.type = "u8";
    constant.shape = {layout.bytes()};
    constant.bytes = layout.bytes();
    return constant;
  }
  if (auto packed =
          dyn_cast_or_null<fastgemm::MultipliersAttr>(type.getEncoding())) {
    layout::PackedMultipliers layout{type.getDimSize(0), type.getDimSize(1),
                                     packed.getGroup(), packed.getChannels()};
    constant.type = "u8";
    constant.shape = {layout.bytes()};
    constant.bytes = layout.bytes();
    return constant;
  }
  Type element = type.getElementType();
  constant.type = element.isF16()         ? "f16"
                  : element.isF32()       ? "f32"
                  : element.isInteger(32) ? "i32"
                                          : "i8";
  constant.shape.assign(type.getShape().begin(), type.getShape().end());
  constant.bytes = type.getNumElements() *
                   (element.isF16()                                ? 2
                    : element.isInteger(8) || element.isInteger(4) ? 1
                                                                   : 4);
  return constant;
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// The tensor `name`, of the type that the file must have it in, whose shape is
/// `shape` in all but the leading dimension (trailing ones may be left out).
static llvm::Expected<LoadedTensor> loadTensor(const TensorSource &weights,
                                               StringRef name, StorageType type,
                                               ArrayRef<int64_t> shape) {
  llvm::Expected<LoadedTensor> tensor = weights.load(name);
  if (!tensor)
    return tensor.takeError();
  if (tensor->type != type)
    return fail("tensor '" + name + "' has type " +
                storageTypeName(tensor->type) + ", expected " +
                storageTypeName(type));
  SmallVector<int64_t> actual(tensor->shape.begin(), tensor->shape.end());
  while (actual.size() > shape.size() && actual.back() == 1)
    actual.pop_back();
  if (actual.size() != shape.size() ||
      ArrayRef(actual).drop_front() != shape.drop_front())
    return fail(
        "tensor '" + name + "' has the wrong shape: expected [" +
        llvm::join(
            llvm::map_range(shape, [](int64_t s) { return std::to_string(s); }),
            ", ") +
        "] but for the first dimension");
  return tensor;
}

static bool isFinite(Type element, const uint8_t *bytes) {
  if (element.isF16()) {
    uint16_t bits;
    std::memcpy(&bits, bytes, 2);
    return (bits & 0x7C00) != 0x7C00;
  }
  if (element.isF32()) {
    float value;
    std::memcpy(&value, bytes, 4);
    return std::isfinite(value);
  }
  return true;
}

static llvm::Error checkRange(StringRef name, ArrayRef<uint8_t> bytes,
                              int lowest, int highest) {
  for (auto [i, byte] : llvm::enumerate(bytes))
    if (int value = static_cast<int8_t>(byte);
        value < lowest || value > highest)
      return fail("tensor '" + name + "' has the value " + Twine(value) +
                  " at index " + Twine(i) + ", outside " + Twine(lowest) +
                  " to " + Twine(highest));
  return llvm::Error::success();
}

static llvm::Error checkValues(StringRef name, ArrayRef<uint8_t> bytes,
                               RankedTensorType type) {
  Type element = type.getElementType();
  if (element.isInteger(4))
    return checkRange(name, bytes, -8, 7);
  if (isa_and_nonnull<fastgemm::PackedAttr>(type.getEncoding()))
    return checkRange(name, bytes, -127, 127);
  if (isa_and_nonnull<fastgemm::MultipliersAttr>(type.getEncoding()))
    return checkRange(name, bytes, 0, layout::kMaxMultiplier);
  size_t width = element.getIntOrFloatBitWidth() / 8;
  for (size_t i = 0; i < bytes.size(); i += width)
    if (!isFinite(element, bytes.data() + i))
      return fail("tensor '" + name +
                  "' has a value that is not finite at index " +
                  Twine(i / width));
  return llvm::Error::success();
}

/// The rows of both halves of `bytes` in turn.
static std::vector<uint8_t> interleave(const std::vector<uint8_t> &bytes,
                                       int64_t rows) {
  std::vector<uint8_t> result(bytes.size());
  size_t rowBytes = bytes.size() / rows;
  for (int64_t row = 0; row < rows; ++row)
    std::memcpy(result.data() + layout::interleavedRow(row, rows) * rowBytes,
                bytes.data() + row * rowBytes, rowBytes);
  return result;
}

static llvm::Expected<std::vector<uint8_t>>
materializeWeight(graph::WeightOp op, const TensorSource &weights) {
  auto type = cast<RankedTensorType>(op.getType());
  Type element = type.getElementType();
  StorageType stored = element.isF16()         ? StorageType::F16
                       : element.isF32()       ? StorageType::F32
                       : element.isInteger(32) ? StorageType::I32
                                               : StorageType::I8;
  std::vector<uint8_t> bytes;
  int64_t leading = 0;
  for (auto name : op.getNames().getAsRange<StringAttr>()) {
    auto tensor = loadTensor(weights, name.getValue(), stored, type.getShape());
    if (!tensor)
      return tensor.takeError();
    if (llvm::Error error = checkValues(name.getValue(), tensor->bytes, type))
      return error;
    leading += tensor->shape.front();
    bytes.insert(bytes.end(), tensor->bytes.begin(), tensor->bytes.end());
  }
  if (leading != type.getDimSize(0))
    return fail("tensor '" + constantName(op) + "' has " + Twine(leading) +
                " rows, expected " + Twine(type.getDimSize(0)));
  if (op.getInterleaved())
    bytes = interleave(bytes, leading);
  if (auto packed =
          dyn_cast_or_null<fastgemm::MultipliersAttr>(type.getEncoding()))
    return layout::packMultipliers({type.getDimSize(0), type.getDimSize(1),
                                    packed.getGroup(), packed.getChannels()},
                                   bytes);
  auto packed = dyn_cast_or_null<fastgemm::PackedAttr>(type.getEncoding());
  if (!packed)
    return bytes;
  return layout::packWeights(
      packedLayout(type, packed),
      {reinterpret_cast<const int8_t *>(bytes.data()), bytes.size()});
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

/// The frequency of pair i after scaling. `llama3` as in the Llama 3.1 release:
/// long wave lengths are divided by `factor`, short ones kept, those between
/// are interpolated.
static double frequency(graph::RopeTableOp op, int64_t i, int64_t d) {
  double base =
      std::pow(op.getTheta().convertToDouble(),
               -2.0 * static_cast<double>(i) / static_cast<double>(d));
  ArrayRef<double> p = op.getParameters();
  if (op.getScaling() == "linear")
    return base / p[0];
  if (op.getScaling() == "llama3") {
    double factor = p[0], low = p[1], high = p[2], context = p[3];
    double waveLength = 2.0 * M_PI / base;
    if (waveLength < context / high)
      return base;
    if (waveLength > context / low)
      return base / factor;
    double smooth = (context / waveLength - low) / (high - low);
    return (1.0 - smooth) * base / factor + smooth * base;
  }
  return base;
}

static std::vector<uint8_t> materializeRopeTable(graph::RopeTableOp op) {
  auto type = cast<RankedTensorType>(op.getTable().getType());
  int64_t positions = type.getDimSize(0), d = type.getDimSize(1), half = d / 2;
  std::vector<float> table(positions * d);
  for (int64_t i = 0; i < half; ++i) {
    double f = frequency(op, i, d);
    for (int64_t p = 0; p < positions; ++p) {
      table[p * d + i] =
          static_cast<float>(std::cos(static_cast<double>(p) * f));
      table[p * d + half + i] =
          static_cast<float>(std::sin(static_cast<double>(p) * f));
    }
  }
  std::vector<uint8_t> bytes(table.size() * sizeof(float));
  std::memcpy(bytes.data(), table.data(), bytes.size());
  return bytes;
}

llvm::Expected<std::vector<uint8_t>>
odyssey::materialize(const BundleConstant &constant,
                     const TensorSource *weights) {
  if (auto table = dyn_cast<graph::RopeTableOp>(constant.op))
    return materializeRopeTable(table);
  if (!weights)
    return fail("there is no file with the tensor '" + constant.name + "'");
  return materializeWeight(cast<graph::WeightOp>(constant.op), *weights);
}
