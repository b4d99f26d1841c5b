//===- WeightTable.cpp - Finding the weights in their section -------------===//
//
// The format is https://github.com/huggingface/safetensors: 8 bytes with the
// length of a JSON header, the header, and the tensors' bytes. The header maps
// a tensor's name to {"dtype", "shape", "data_offsets": [begin, end]}, offsets
// counting from the end of the header.
//
//===----------------------------------------------------------------------===//

#include "WeightTable.h"

#include "JsonReader.h"
#include "odyssey/runtime/BundleFormat.h"
#include "odyssey/runtime/Plan.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace odyssey::runtime {

namespace {

/// The limit of the reference implementation.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr char kMetadataKey[] = "__metadata__";

const char *safetensorsTypeName(ElementType type) {
  switch (type) {
  case ElementType::I8:
    return "I8";
  case ElementType::U8:
    return "U8";
  case ElementType::I32:
    return "I32";
  case ElementType::F16:
    return "F16";
  case ElementType::BF16:
    return "BF16";
  case ElementType::F32:
    return "F32";
  }
  return "";
}

struct Extent {
  int64_t begin = 0, end = 0;
  std::string name;
};

/// Checks that no two tensors share bytes.
Status checkOverlaps(std::vector<Extent> extents) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent &a, const Extent &b) {
              return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
            });
  for (size_t i = 1; i < extents.size(); ++i)
    if (extents[i].begin < extents[i - 1].end)
      return dataLoss(std::string(bundle::kWeightsSection) + ": the tensors '" +
                      extents[i - 1].name + "' and '" + extents[i].name +
                      "' overlap");
  return Status::success();
}

Extent readExtent(const JsonNode &tensor, int64_t dataBytes) {
  JsonNode offsets = tensor["data_offsets"];
  Extent extent;
  if (offsets.size(2, 2) != 2)
    return extent;
  extent.begin = offsets.at(0).integer(0, dataBytes);
  extent.end = offsets.at(1).integer(extent.begin, dataBytes);
  return extent;
}

/// Checks a tensor that the plan uses against what the plan says about it.
void checkAgainstPlan(const JsonNode &tensor, const TensorType &weight) {
  JsonNode typeNode = tensor["dtype"];
  std::string type = typeNode.string();
  if (type != safetensorsTypeName(weight.type))
    typeNode.error("'" + type + "' does not agree with the plan's type '" +
                   elementTypeName(weight.type) + "'");
  JsonNode shape = tensor["shape"];
  size_t rank = shape.size(weight.shape.size(), weight.shape.size());
  for (size_t i = 0; i < rank; ++i)
    shape.at(i).integer(weight.shape[i], weight.shape[i]);
}

} // namespace

Result<std::vector<std::span<const std::byte>>>
readWeightTable(std::span<const std::byte> section,
                const std::vector<TensorType> &weights) {
  uint64_t headerBytes = 0;
  if (section.size() < sizeof(headerBytes))
    return dataLoss(std::string(bundle::kWeightsSection) + ": truncated");
  memcpy(&headerBytes, section.data(), sizeof(headerBytes));
  if (headerBytes > section.size() - sizeof(headerBytes) ||
      headerBytes > kMaxHeaderBytes)
    return dataLoss(std::string(bundle::kWeightsSection) + ": a header of " +
                    std::to_string(headerBytes) + " bytes does not fit");
  const char *text =
      reinterpret_cast<const char *>(section.data()) + sizeof(headerBytes);
  uint64_t dataOffset = sizeof(headerBytes) + headerBytes;
  int64_t dataBytes = static_cast<int64_t>(section.size() - dataOffset);

  JsonDocument document(bundle::kWeightsSection,
                        std::string_view(text, headerBytes));
  JsonNode root = document.root();
  std::vector<Extent> extents;
  for (auto &member : root.members().items()) {
    if (member.key() == kMetadataKey)
      continue;
    extents.push_back(readExtent(root[member.key()], dataBytes));
    extents.back().name = member.key();
  }
  ODYSSEY_RETURN_IF_ERROR(document.status());
  ODYSSEY_RETURN_IF_ERROR(checkOverlaps(std::move(extents)));

  std::vector<std::span<const std::byte>> result;
  for (const TensorType &weight : weights) {
    JsonNode tensor = root[weight.name];
    checkAgainstPlan(tensor, weight);
    Extent extent = readExtent(tensor, dataBytes);
    uint64_t begin = dataOffset + static_cast<uint64_t>(extent.begin);
    uint64_t size = static_cast<uint64_t>(extent.end - extent.begin);
    if (size != weight.bytes(0))
      tensor.error("has " + std::to_string(size) +
                   " bytes, but its shape needs " +
                   std::to_string(weight.bytes(0)));
    if (begin % kBufferAlignment != 0)
      tensor.error("is not aligned to 256 bytes");
    ODYSSEY_RETURN_IF_ERROR(document.status());
    result.push_back(section.subspan(begin, size));
  }
  return result;
}

} // namespace odyssey::runtime
