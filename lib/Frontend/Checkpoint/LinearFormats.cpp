//===- LinearFormats.cpp - Quantized linears as files have them -----------===//

#include "LinearFormats.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

/// 4-bit values in a 32-bit word, the first in the lowest bits, with 8 added.
static constexpr int64_t valuesPerWord = 8;

static int8_t unpack(uint32_t word, int64_t index) {
  return static_cast<int8_t>(((word >> (4 * index)) & 15) - 8);
}

std::vector<std::string> odyssey::linearTensorNames(WeightFormat format,
                                                    StringRef name) {
  std::vector<StringRef> suffixes;
  switch (format) {
  case WeightFormat::IntQuantized:
    suffixes = {"weight", "weight_scale", "weight_zero_point", "weight_g_idx"};
    break;
  case WeightFormat::PackQuantized:
    suffixes = {"weight_packed", "weight_scale", "weight_shape",
                "weight_zero_point", "weight_g_idx"};
    break;
  case WeightFormat::Gptq:
    suffixes = {"qweight", "scales", "qzeros", "g_idx"};
    break;
  }
  std::vector<std::string> names;
  for (StringRef suffix : suffixes)
    names.push_back((name + "." + suffix).str());
  return names;
}

static std::string text(StorageType type, llvm::ArrayRef<int64_t> shape) {
  return llvm::formatv("{0} [{1:$[, ]}]", storageTypeName(type),
                       llvm::make_range(shape.begin(), shape.end()))
      .str();
}

static Error wrongTensor(const SafetensorsTensor &tensor,
                         const Twine &expected) {
  return createStringError("tensor '" + tensor.name + "' is " +
                           text(tensor.type, tensor.shape) + ", expected " +
                           expected);
}

Error odyssey::checkTensor(const SafetensorsTensor &tensor, StorageType type,
                           llvm::ArrayRef<int64_t> shape) {
  if (tensor.type == type && llvm::ArrayRef(tensor.shape) == shape)
    return Error::success();
  return wrongTensor(tensor, text(type, shape));
}

namespace {

/// Reads one linear.
class LinearReader {
public:
  LinearReader(const ShardedSafetensors &file, const WeightScheme &scheme,
               StringRef name, int64_t n, int64_t k)
      : file(file), scheme(scheme), name(name), n(n), k(k) {}

  Expected<GroupedWeights> read();

private:
  std::string fullName(StringRef suffix) const {
    return (name + "." + suffix).str();
  }
  Expected<const SafetensorsTensor *> find(StringRef suffix) const;
  Error checkGroups();

  Expected<SharedValues<int8_t>> readIntegers() const;
  Expected<SharedValues<int8_t>> readPlainIntegers() const;
  Expected<SharedValues<int8_t>> readPackedRows() const;
  Expected<SharedValues<int8_t>> readPackedColumns() const;
  Expected<SharedValues<float>> readScales() const;
  Error checkZeroPoints() const;
  Expected<std::vector<int32_t>> readGroupOrder() const;

  const ShardedSafetensors &file;
  const WeightScheme &scheme;
  StringRef name;
  int64_t n, k, groups = 1;
};

} // namespace

Expected<const SafetensorsTensor *> LinearReader::find(StringRef suffix) const {
  if (const SafetensorsTensor *tensor = file.find(fullName(suffix)))
    return tensor;
  if (file.find(fullName("weight")))
    return createStringError("the linear layer '" + name +
                             "' is not quantized: there is a tensor '" +
                             fullName("weight") + "', but no '" +
                             fullName(suffix) + "'");
  return createStringError("tensor '" + fullName(suffix) + "' is missing");
}

Error LinearReader::checkGroups() {
  if (scheme.groupSize == 0)
    return Error::success();
  // Only odyssey-quantize makes a short group at the end.
  if (k % scheme.groupSize != 0 && scheme.format != WeightFormat::IntQuantized)
    return createStringError("the linear layer '" + name + "' has " + Twine(k) +
                             " input channels, which groups of " +
                             Twine(scheme.groupSize) + " do not divide");
  groups = llvm::divideCeil(k, scheme.groupSize);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

Expected<SharedValues<int8_t>> LinearReader::readPlainIntegers() const {
  Expected<const SafetensorsTensor *> tensor = find("weight");
  if (!tensor)
    return tensor.takeError();
  if (!file.find(fullName("weight_scale")))
    return find("weight_scale").takeError();
  if (Error error = checkTensor(**tensor, StorageType::I8, {n, k}))
    return error;
  auto values = valuesOf<int8_t>(**tensor);
  int least = scheme.bits == 8 ? -127 : -8, most = scheme.bits == 8 ? 127 : 7;
  auto outside = [=](int8_t value) { return value < least || value > most; };
  // A count vectorizes, a search does not; the search runs only on failure.
  if (std::ranges::count_if(values.values, outside) != 0) {
    auto bad = std::ranges::find_if(values.values, outside);
    return createStringError("tensor '" + (*tensor)->name + "' has the value " +
                             Twine(static_cast<int>(*bad)) + " at index " +
                             Twine(bad - values.values.begin()) +
                             ", which is no " + Twine(scheme.bits) +
                             "-bit integer in " + Twine(least) + ".." +
                             Twine(most));
  }
  return values;
}

Expected<SharedValues<int8_t>> LinearReader::readPackedRows() const {
  Expected<const SafetensorsTensor *> tensor = find("weight_packed");
  if (!tensor)
    return tensor.takeError();
  int64_t wordsPerRow = llvm::divideCeil(k, valuesPerWord);
  if (Error error = checkTensor(**tensor, StorageType::I32, {n, wordsPerRow}))
    return error;
  if (const SafetensorsTensor *shape = file.find(fullName("weight_shape"))) {
    std::vector<int64_t> sizes;
    if (shape->type == StorageType::I64)
      llvm::append_range(sizes, valuesOf<int64_t>(*shape).values);
    else if (shape->type == StorageType::I32)
      llvm::append_range(sizes, valuesOf<int32_t>(*shape).values);
    if (sizes != std::vector<int64_t>{n, k})
      return createStringError("tensor '" + shape->name +
                               "' does not hold the linear layer's sizes " +
                               Twine(n) + " and " + Twine(k));
  }
  auto words = valuesOf<uint32_t>(**tensor);
  std::vector<int8_t> integers(n * k);
  for (int64_t row = 0; row < n; ++row) {
    const uint32_t *source = words.values.data() + row * wordsPerRow;
    int8_t *out = integers.data() + row * k;
    for (int64_t i = 0; i < k; ++i)
      out[i] = unpack(source[i / valuesPerWord], i % valuesPerWord);
  }
  return SharedValues<int8_t>(std::move(integers));
}

Expected<SharedValues<int8_t>> LinearReader::readPackedColumns() const {
  Expected<const SafetensorsTensor *> tensor = find("qweight");
  if (!tensor)
    return tensor.takeError();
  if (k % valuesPerWord != 0)
    return createStringError("the linear layer '" + name + "' has " + Twine(k) +
                             " input channels, which do not fill words of " +
                             Twine(valuesPerWord));
  if (Error error =
          checkTensor(**tensor, StorageType::I32, {k / valuesPerWord, n}))
    return error;
  auto words = valuesOf<uint32_t>(**tensor);
  std::vector<int8_t> integers(n * k);
  // Blocks of rows, so that what is written stays in the cache.
  constexpr int64_t rowsPerBlock = 64;
  for (int64_t first = 0; first < n; first += rowsPerBlock) {
    int64_t end = std::min(n, first + rowsPerBlock);
    for (int64_t word = 0; word < k / valuesPerWord; ++word)
      for (int64_t row = first; row < end; ++row) {
        uint32_t value = words.values[word * n + row];
        int8_t *out = integers.data() + row * k + word * valuesPerWord;
        for (int64_t i = 0; i < valuesPerWord; ++i)
          out[i] = unpack(value, i);
      }
  }
  return SharedValues<int8_t>(std::move(integers));
}

Expected<SharedValues<int8_t>> LinearReader::readIntegers() const {
  switch (scheme.format) {
  case WeightFormat::IntQuantized:
    return readPlainIntegers();
  case WeightFormat::PackQuantized:
    return readPackedRows();
  case WeightFormat::Gptq:
    return readPackedColumns();
  }
  llvm_unreachable("all formats are handled");
}

//===----------------------------------------------------------------------===//
// Scales, zero points and groups
//===----------------------------------------------------------------------===//

/// [N, groups] whatever way round the file has them.
Expected<SharedValues<float>> LinearReader::readScales() const {
  bool transposed = scheme.format == WeightFormat::Gptq;
  Expected<const SafetensorsTensor *> found =
      find(transposed ? "scales" : "weight_scale");
  if (!found)
    return found.takeError();
  const SafetensorsTensor &tensor = **found;
  std::vector<int64_t> shape = {n, groups};
  if (transposed)
    std::swap(shape[0], shape[1]);
  bool isFloat = llvm::is_contained(
      {StorageType::F32, StorageType::F16, StorageType::BF16}, tensor.type);
  if (!isFloat || tensor.shape != shape)
    return wrongTensor(tensor, text(StorageType::F32, shape) +
                                   ", or the same of F16 or BF16");

  SharedValues<float> result;
  if (tensor.type == StorageType::F32 && !transposed) {
    result = valuesOf<float>(tensor);
  } else {
    std::vector<float> stored(n * groups);
    dequantize(tensor.type, tensor.bytes.data(), n * groups, stored.data());
    std::vector<float> scales(n * groups);
    for (int64_t i = 0; i < n * groups; ++i)
      scales[i] = stored[transposed ? i % groups * n + i / groups : i];
    result = SharedValues<float>(std::move(scales));
  }
  // Negated, so that NaN fails.
  auto bad = std::ranges::find_if(
      result.values, [](float s) { return !(s >= 0) || std::isinf(s); });
  if (bad == result.values.end())
    return result;
  int64_t index = bad - result.values.begin();
  if (transposed)
    index = index % groups * n + index / groups;
  return createStringError("tensor '" + tensor.name +
                           "' has a scale that is not a finite, non-negative "
                           "number at index " +
                           Twine(index));
}

/// Symmetric weights have none, or such as say zero.
Error LinearReader::checkZeroPoints() const {
  if (scheme.format != WeightFormat::Gptq) {
    const SafetensorsTensor *tensor = file.find(fullName("weight_zero_point"));
    if (!tensor ||
        llvm::all_of(tensor->bytes, [](uint8_t b) { return b == 0; }))
      return Error::success();
    return createStringError("tensor '" + tensor->name +
                             "' has zero points that are not 0; weights must "
                             "be symmetric");
  }
  Expected<const SafetensorsTensor *> tensor = find("qzeros");
  if (!tensor)
    return tensor.takeError();
  int64_t words = llvm::divideCeil(n, valuesPerWord);
  if (Error error = checkTensor(**tensor, StorageType::I32, {groups, words}))
    return error;
  auto zeros = valuesOf<uint32_t>(**tensor);
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t channel = 0; channel < n; ++channel) {
      uint32_t word = zeros.values[group * words + channel / valuesPerWord];
      uint32_t stored = (word >> (4 * (channel % valuesPerWord))) & 15;
      if (stored != scheme.storedZeroPoint)
        return createStringError("tensor '" + (*tensor)->name + "' has " +
                                 Twine(stored) + " for output channel " +
                                 Twine(channel) + " of group " + Twine(group) +
                                 ", expected " + Twine(scheme.storedZeroPoint) +
                                 "; weights must be symmetric");
    }
  return Error::success();
}

/// The group of every input channel where the checkpoint says it by a tensor,
/// as it does when channels were ordered by their activations.
Expected<std::vector<int32_t>> LinearReader::readGroupOrder() const {
  const SafetensorsTensor *tensor = file.find(
      fullName(scheme.format == WeightFormat::Gptq ? "g_idx" : "weight_g_idx"));
  if (!tensor || groups == 1)
    return std::vector<int32_t>();
  if (Error error = checkTensor(*tensor, StorageType::I32, {k}))
    return error;
  auto order = valuesOf<int32_t>(*tensor);
  bool inRuns = true;
  for (int64_t i = 0; i < k; ++i) {
    int32_t group = order.values[i];
    if (group < 0 || group >= groups)
      return createStringError("tensor '" + tensor->name + "' has the group " +
                               Twine(group) + " at index " + Twine(i) +
                               ", expected 0 to " + Twine(groups - 1));
    inRuns &= group == i / scheme.groupSize;
  }
  if (inRuns)
    return std::vector<int32_t>();
  return std::vector<int32_t>(order.values.begin(), order.values.end());
}

Expected<GroupedWeights> LinearReader::read() {
  if (Error error = checkGroups())
    return error;
  GroupedWeights weights;
  weights.n = n;
  weights.k = k;
  weights.groups = groups;
  weights.groupSize = scheme.groupSize == 0 ? k : scheme.groupSize;
  Expected<SharedValues<int8_t>> integers = readIntegers();
  if (!integers)
    return integers.takeError();
  weights.integers = std::move(*integers);
  Expected<SharedValues<float>> scales = readScales();
  if (!scales)
    return scales.takeError();
  weights.scales = std::move(*scales);
  weights.scaleName =
      fullName(scheme.format == WeightFormat::Gptq ? "scales" : "weight_scale");
  if (Error error = checkZeroPoints())
    return error;
  Expected<std::vector<int32_t>> order = readGroupOrder();
  if (!order)
    return order.takeError();
  weights.groupOfChannel = std::move(*order);
  return weights;
}

Expected<GroupedWeights> odyssey::readLinear(const ShardedSafetensors &file,
                                             const WeightScheme &scheme,
                                             StringRef name, int64_t n,
                                             int64_t k) {
  return LinearReader(file, scheme, name, n, k).read();
}
