//===- GgufBuilder.cpp - GGUF files made by tests -------------------------===//

#include "GgufBuilder.h"

#include <bit>

using namespace odyssey::testing;

std::string odyssey::testing::bytesOf32(uint32_t value) {
  std::string bytes;
  for (int i = 0; i < 4; ++i)
    bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

std::string odyssey::testing::bytesOf64(uint64_t value) {
  return bytesOf32(static_cast<uint32_t>(value)) +
         bytesOf32(static_cast<uint32_t>(value >> 32));
}

std::string odyssey::testing::bytesOfFloats(const std::vector<float> &values) {
  std::string bytes;
  for (float value : values)
    bytes += bytesOf32(std::bit_cast<uint32_t>(value));
  return bytes;
}

static std::string lengthPrefixed(const std::string &text) {
  return bytesOf64(text.size()) + text;
}

void GgufBuilder::addRaw(const std::string &key, uint32_t type,
                         const std::string &payload) {
  pairs.push_back({key, type, payload});
}

void GgufBuilder::addU32(const std::string &key, uint32_t value) {
  addRaw(key, 4, bytesOf32(value));
}

void GgufBuilder::addF32(const std::string &key, float value) {
  addRaw(key, 6, bytesOf32(std::bit_cast<uint32_t>(value)));
}

void GgufBuilder::addBool(const std::string &key, bool value) {
  addRaw(key, 7, std::string(1, value ? 1 : 0));
}

void GgufBuilder::addString(const std::string &key, const std::string &value) {
  addRaw(key, 8, lengthPrefixed(value));
}

void GgufBuilder::addStrings(const std::string &key,
                             const std::vector<std::string> &values) {
  std::string payload = bytesOf32(8) + bytesOf64(values.size());
  for (const std::string &value : values)
    payload += lengthPrefixed(value);
  addRaw(key, 9, payload);
}

void GgufBuilder::removeMetadata(const std::string &key) {
  std::erase_if(pairs, [&](const Pair &pair) { return pair.key == key; });
}

void GgufBuilder::addTensor(const std::string &name,
                            const std::vector<uint64_t> &shape, uint32_t type,
                            const std::string &bytes) {
  tensors.push_back({name, shape, type, bytes});
}

void GgufBuilder::removeTensor(const std::string &name) {
  std::erase_if(tensors,
                [&](const Tensor &tensor) { return tensor.name == name; });
}

std::string GgufBuilder::build() {
  std::string file = "GGUF";
  auto field = [&](const std::string &name, const std::string &bytes) {
    offsetOf[name] = file.size();
    file += bytes;
  };
  auto align = [&](std::string &bytes) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
  };
  offsetOf.clear();
  field("version", bytesOf32(version));
  field("tensor count", bytesOf64(tensors.size()));
  field("metadata count", bytesOf64(pairs.size()));
  for (const Pair &pair : pairs)
    file += lengthPrefixed(pair.key) + bytesOf32(pair.type) + pair.payload;
  std::string data;
  for (const Tensor &tensor : tensors) {
    align(data);
    file += lengthPrefixed(tensor.name);
    field(tensor.name + " dimensions",
          bytesOf32(static_cast<uint32_t>(tensor.shape.size())));
    offsetOf[tensor.name + " shape"] = file.size();
    for (auto it = tensor.shape.rbegin(); it != tensor.shape.rend(); ++it)
      file += bytesOf64(*it);
    field(tensor.name + " type", bytesOf32(tensor.type));
    field(tensor.name + " offset", bytesOf64(data.size()));
    data += tensor.bytes;
  }
  align(file);
  dataBegin = file.size();
  return file + data;
}
